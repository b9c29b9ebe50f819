"""What a stranger's JSON may not be, and what it may."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.wire.strict_json import MAX_ITEMS, MAX_STRING, loads

SECRET = "sk-canary"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"", "JSON", id="empty"),
        pytest.param(b"<html>sk-canary</html>", "JSON", id="HTML"),
        pytest.param(b'{"a": 1', "JSON", id="cut off"),
        pytest.param(b'{"a": 1} sk-canary', "JSON", id="trailing text"),
        pytest.param(b'{"a": 1}{"a": 1}', "JSON", id="two documents"),
        pytest.param(b"\xff\xfe{\x00", "UTF-8", id="UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', "JSON", id="byte order mark"),
        pytest.param(b'{"a": "sk-canary\xff"}', "UTF-8", id="half a character"),
        pytest.param(b'{"a": "\x00"}', "JSON", id="a bare control character"),
        pytest.param(b'{"a": NaN}', "NaN", id="NaN"),
        pytest.param(b'{"a": -Infinity}', "Infinity", id="infinity"),
        pytest.param(b'{"a": 1e999}', "double", id="a fraction that overflows"),
        pytest.param(b'{"a": 9007199254740992}', "integers", id="2 to the 53rd"),
        pytest.param(b'{"a": -9007199254740992}', "integers", id="minus 2 to the 53rd"),
        pytest.param(b'{"a": 1' + b"0" * 30 + b"}", "integers", id="10 to the 30th"),
        pytest.param(b'{"a": 1' + b"0" * 100_000 + b"}", "integers", id="10 to the 100,000th"),
        pytest.param(b'{"sk-canary": 1, "sk-canary": 2}', "repeated", id="a key twice"),
        pytest.param(b'{"a": [{"b": 1, "b": 1}]}', "repeated", id="an inner key twice"),
        pytest.param(b"[" * 17 + b"]" * 17, "depth", id="17 deep"),
        pytest.param(b"[" * 100_000, "depth", id="100,000 deep and open"),
        pytest.param(b'{"a":' * 20 + b"1" + b"}" * 20, "depth", id="20 objects deep"),
        pytest.param(b"[" + b"1," * MAX_ITEMS + b"1]", "lists", id="a long list"),
        pytest.param(b'["' + b"x" * (MAX_STRING + 1) + b'"]', "strings", id="a long string"),
        pytest.param(b'{"' + b"x" * (MAX_STRING + 1) + b'": 1}', "keys", id="a long key"),
        pytest.param(b" " * 262_145, "262144 bytes", id="too long"),
    ],
)
def test_a_hostile_body_is_refused_by_the_rule_that_it_breaks(body: bytes, expected: str) -> None:
    with pytest.raises(WireError, match=expected) as refused:
        loads(body)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_the_longest_object_is_bounded_too() -> None:
    body = json.dumps({str(number): 1 for number in range(MAX_ITEMS + 1)}).encode()
    with pytest.raises(WireError, match="members"):
        loads(body)


documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_COUNT, MAX_COUNT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(documents)
def test_any_ordinary_document_is_what_was_written(document: object) -> None:
    body = json.dumps({"document": document}).encode()
    assert loads(body) == {"document": document}


@given(st.binary(max_size=60) | st.text('[]{}",:0123456789.eE-ntruefals ').map(str.encode))
def test_no_bytes_raise_anything_but_a_wire_error(body: bytes) -> None:
    with suppress(WireError):
        assert loads(body) == json.loads(body)


def test_sixteen_levels_are_allowed() -> None:
    assert loads(b"[" * 16 + b"]" * 16) is not None


def test_the_bounds_are_arguments() -> None:
    with pytest.raises(WireError, match="at most 3 bytes"):
        loads(b"[[]]", max_bytes=3)
    with pytest.raises(WireError, match="depth of at most 1"):
        loads(b"[[]]", max_depth=1)
