"""The picker: a few members out of a document that is never held."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from agentspec_usage.extraction.framing import (
    ExtractionLimits,
    Gap,
    GapReason,
    JsonPicker,
    Picked,
)
from tests.unit.extraction.framing.chunking import every_cut

WANTED = ("id", "usage", "response.usage", "response.id")


def picked(
    *pieces: bytes, wanted: tuple[str, ...] = WANTED, limits: ExtractionLimits | None = None
) -> Picked:
    picker = JsonPicker(wanted, limits)
    for piece in pieces:
        picker.feed(piece)
    return picker.end()


@pytest.mark.parametrize(
    ("document", "members"),
    [
        pytest.param(b"{}", {}, id="empty"),
        pytest.param(b" {\n}\r\n", {}, id="spaced"),
        pytest.param(b'{"usage": {"a": 1}}', {"usage": {"a": 1}}, id="wanted"),
        pytest.param(b'{"x":{"usage":1},"id":"a"}', {"id": "a"}, id="not where it is wanted"),
        pytest.param(
            b'{"response":{"id":"r","x":[{}],"usage":{"a":[1]}},"id":"e"}',
            {"id": "e", "response": {"id": "r", "usage": {"a": [1]}}},
            id="nested",
        ),
        pytest.param(b'{"response":null,"id":null}', {"id": None}, id="null where nesting was"),
        pytest.param(b'{"id":1,"id":2}', {"id": 2}, id="the last of several counts"),
        pytest.param(
            b'{"response":{"id":1},"response":{"usage":2}}',
            {"response": {"usage": 2}},
            id="the last of several nested ones counts",
        ),
        pytest.param(b'{"response":{"id":1},"response":7}', {}, id="the last is nothing nested"),
        pytest.param(b'{"x":"}\\"{\\\\","id":1}', {"id": 1}, id="brackets and quotes in a string"),
        pytest.param(b'{"x":["]",{"y":"[\\""}],"id":1}', {"id": 1}, id="and within an array"),
        pytest.param(b'{"i\\u0064":1}', {"id": 1}, id="escapes in a key"),
        pytest.param(b'{"x":-1.5e+3,"y":true,"id":-0.5}', {"id": -0.5}, id="scalars"),
        pytest.param(b'{"id":"\xc3\xbc\\ud83d\\ude42"}', {"id": "ü🙂"}, id="text"),
        pytest.param(b'{"id":1} trailing {', {"id": 1}, id="what follows is not looked at"),
        pytest.param(b'{"%s":0,"id":1}' % (b"k" * 300), {"id": 1}, id="a long key"),
        pytest.param(b'{"%s\\"":0,"id":1}' % (b"k" * 255), {"id": 1}, id="a long escaped key"),
        pytest.param(b'{"x":%s%s,"id":1}' % (b"[" * 99, b"]" * 99), {"id": 1}, id="deep"),
        pytest.param(b'{"x":[[[[[{"y":[{}]}]]],[]]],"id":1}', {"id": 1}, id="deeper than a match"),
        pytest.param(
            b'{"response":[{"id":1,"x":2},{"x":3},null,[{"id":4}]],"id":5}',
            {"response": [{"id": 1}, {}, None, None], "id": 5},
            id="elements of an array",
        ),
        pytest.param(b'{"response":[ ]}', {"response": []}, id="no elements"),
        pytest.param(b'[{"id":1}]', {}, id="an array has no members"),
        pytest.param(b'"id"', {}, id="a string has none"),
    ],
)
def test_the_wanted_members_are_picked_however_the_bytes_are_cut(
    document: bytes, members: dict[str, object]
) -> None:
    assert picked(document) == Picked(members)
    for pieces in every_cut(document):
        assert picked(*pieces) == Picked(members)


@pytest.mark.parametrize(
    ("document", "members", "reason"),
    [
        pytest.param(b"", {}, GapReason.TRUNCATED, id="nothing"),
        pytest.param(
            b'{"response":{"usage":1,"id"',
            {"response": {"usage": 1}},
            GapReason.TRUNCATED,
            id="cut off within",
        ),
        pytest.param(b'{"x":[\\"],"id":1}', {}, GapReason.MALFORMED, id="a stray backslash"),
        pytest.param(b'{"id":1,"usage":{"a"', {"id": 1}, GapReason.TRUNCATED, id="cut off"),
        pytest.param(b'{"id":12', {}, GapReason.TRUNCATED, id="cut off in a number"),
        pytest.param(b"<html>", {}, GapReason.MALFORMED, id="a page"),
        pytest.param(b'{"id":1,,"usage":2}', {"id": 1}, GapReason.MALFORMED, id="two commas"),
        pytest.param(b'{"id":1 "usage":2}', {"id": 1}, GapReason.MALFORMED, id="no comma"),
        pytest.param(b'{"id" 1}', {}, GapReason.MALFORMED, id="no colon"),
        pytest.param(b"{id:1}", {}, GapReason.MALFORMED, id="a key without quotes"),
        pytest.param(b'{"id":tru}', {}, GapReason.MALFORMED, id="no value"),
        pytest.param(b'{"id":[}}', {}, GapReason.MALFORMED, id="brackets that do not match"),
        pytest.param(b'{"id":"\xff"}', {}, GapReason.MALFORMED, id="a value in no UTF-8"),
        pytest.param(b'{"\xff":1}', {}, GapReason.MALFORMED, id="a key in no UTF-8"),
        pytest.param(
            b'{"id":%s}' % (b"9" * 5000), {}, GapReason.MALFORMED, id="a number beyond all numbers"
        ),
        pytest.param(
            b'{"id":%s%s}' % (b"[" * 9999, b"]" * 9999), {}, GapReason.MALFORMED, id="too deep"
        ),
    ],
)
def test_what_cannot_be_read_is_a_gap(
    document: bytes, members: dict[str, object], reason: GapReason
) -> None:
    expected = Picked(members, Gap(reason))

    assert picked(document) == expected
    middle = len(document) // 2
    assert picked(document[:middle], document[middle:]) == expected


def test_a_wanted_value_that_is_too_large_is_left_out_and_the_others_are_not() -> None:
    document = json.dumps({"usage": "x" * 100, "id": "kept"}).encode()
    limits = ExtractionLimits(value_bytes=50)

    for pieces in ([document], *every_cut(document)):
        assert picked(*pieces, limits=limits) == Picked({"id": "kept"}, Gap(GapReason.OVERFLOW))


def test_a_member_wanted_whole_includes_what_is_wanted_within_it() -> None:
    document = b'{"response":{"id":"r","usage":{"a":1}}}'

    assert picked(document, wanted=("response.usage", "response")).document == json.loads(document)


def test_the_elements_that_are_picked_from_have_a_bound() -> None:
    document = b'{"response":[%s],"id":1}' % b",".join([b'{"id":7}'] * 5000)

    read = picked(document)

    assert read == Picked({"response": [{"id": 7}] * 4096, "id": 1}, Gap(GapReason.OVERFLOW))


def test_all_that_is_picked_has_a_bound_together() -> None:
    document = b'{"response":[%s],"usage":1}' % b",".join([b'{"id":"12345678"}'] * 9)
    limits = ExtractionLimits(event_bytes=45)

    read = picked(document, limits=limits)

    elements = [{"id": "12345678"}] * 4 + [{}] * 5
    assert read == Picked({"response": elements, "usage": 1}, Gap(GapReason.OVERFLOW))


@pytest.mark.parametrize(
    "filling",
    [
        pytest.param(b'"' + b"iVBORw0K" * 8192 + b'",', id="strings"),
        pytest.param(b"[" + b"0.0123," * 9000 + b"1],", id="numbers"),
        pytest.param(b'{"a":[{"b":"\\"\\n"}]},' * 3000, id="objects"),
        pytest.param(b"[" * 65536, id="brackets that nobody closes"),
    ],
)
def test_a_document_of_any_size_is_read_in_constant_memory(filling: bytes) -> None:
    picker = JsonPicker(WANTED)
    picker.feed(b'{"data":[')
    tracemalloc.start()
    try:
        for _ in range(100):
            picker.feed(filling)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1 << 20
