"""Picking from a document gives what the standard library reads of it, in any pieces."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.framing import ExtractionLimits, JsonPicker, Picked, read_json
from tests.unit.extraction.framing.chunking import joined, pieces_of

_KEYS = st.sampled_from(["id", "usage", "a", "a.b", "", 'quo"te', "back\\slash", "ü"])
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_VALUES = st.recursive(
    _SCALARS,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(_KEYS, values, max_size=4),
    max_leaves=20,
)
_SPACES = st.sampled_from(["", " ", "\n", "\t \r\n"])


@st.composite
def _documents(draw: st.DrawFn) -> bytes:
    """Documents with members at the top and one level below, keys repeated or not."""

    def spaced(text: str) -> str:
        return draw(_SPACES) + text + draw(_SPACES)

    def an_object(members: list[tuple[str, str]]) -> str:
        pairs = (f"{spaced(json.dumps(key))}:{value}" for key, value in members)
        return spaced("{" + ",".join(pairs) + draw(_SPACES) + "}")

    ascii_only = draw(st.booleans())

    def text(value: object) -> str:
        return spaced(json.dumps(value, ensure_ascii=ascii_only))

    plain = st.tuples(_KEYS, _VALUES.map(text))
    inner = st.lists(plain, max_size=4).map(an_object)
    members = draw(st.lists(plain | st.tuples(st.just("response"), inner), max_size=6))
    return an_object(members).encode("utf-8", "surrogatepass")


def _by_the_standard_library(document: bytes) -> dict[str, object]:
    whole = json.loads(document)
    expected = {key: whole[key] for key in ("id", "usage") if key in whole}
    for key in ("response", "a"):
        if isinstance(whole.get(key), dict | list):
            expected[key] = _usage_alone(whole[key])
    return expected


def _usage_alone(value: object) -> object:
    if isinstance(value, list):
        return [_usage_alone(element) if isinstance(element, dict) else None for element in value]
    assert isinstance(value, dict)
    return {"usage": value["usage"]} if "usage" in value else {}


def _picked(pieces: list[bytes]) -> Picked:
    picker = JsonPicker(("id", "usage", "response.usage", "a.usage"))
    for piece in pieces:
        picker.feed(piece)
    return picker.end()


@given(pieces_of(_documents()))
def test_what_is_picked_is_what_a_parser_finds(pieces: list[bytes]) -> None:
    assert _picked(pieces) == Picked(_by_the_standard_library(joined(pieces)))


_TOKENS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b",",
    b":",
    b'"id"',
    b'"usage":',
    b"1",
    b" ",
    b"\xff",
]
_TOKENS += [b'"a":{', b"null", b'{"id":', b'"response":{', b'"}"', b"\\u00"]


@given(pieces_of(st.lists(st.sampled_from(_TOKENS), max_size=30).map(joined)), st.integers(1, 20))
def test_any_bytes_in_any_pieces_are_picked_alike(pieces: list[bytes], bound: int) -> None:
    limits = ExtractionLimits(value_bytes=bound)
    one, several = (
        JsonPicker(("id", "response.usage"), limits),
        JsonPicker(("id", "response.usage"), limits),
    )
    one.feed(joined(pieces))
    for piece in pieces:
        several.feed(piece)

    assert several.end() == one.end()


@given(st.lists(st.sampled_from(_TOKENS), max_size=30).map(joined))
def test_whatever_is_json_is_no_gap(document: bytes) -> None:
    try:
        whole = read_json(document)
    except WireError:
        return
    picker = JsonPicker(("id",))
    picker.feed(document + b" ")

    expected = {"id": whole["id"]} if isinstance(whole, dict) and "id" in whole else {}
    assert picker.end() == Picked(expected)


@given(pieces_of(st.lists(st.sampled_from(_TOKENS), max_size=60).map(joined)))
def test_a_large_container_is_left_where_it_ends_however_it_is_cut(pieces: list[bytes]) -> None:
    large = [b'{"x":[' + b'{"y":[]},' * 40, *pieces, b']},"id":1}']
    one, several = JsonPicker(("id",)), JsonPicker(("id",))
    one.feed(joined(large))
    for piece in large:
        several.feed(piece)

    assert several.end() == one.end()


@given(_documents(), st.integers(1, 50))
def test_a_large_container_hides_no_member_behind_it(document: bytes, size: int) -> None:
    body = b'{"x":[%s],"id":7}' % b",".join([document] * 40)

    assert _picked([body[at : at + size] for at in range(0, len(body), size)]) == Picked({"id": 7})
