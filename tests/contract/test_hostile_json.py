"""Bodies that two readers would read in two ways, or that are made to cost: refused, and named.

Each is a body that fits the document but for one value, at whatever place: so what stands there is
reached, in a field that is known and in one that is not.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from tests.contract.fuzzing import EXAMPLES, Fuzzed, Operation, fuzzed_control_plane

HOLE = "the place of what is hostile"

REFUSED = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "the same key twice": '{"seq": 1, "seq": 2}',
    "2^53": "9007199254740992",
    "-2^53": "-9007199254740992",
    "an integer of 5,000 digits": "9" * 5000,
    "more than a double holds": "1e999",
    "deep lists": "[" * 20 + "]" * 20,
    "lists as deep as the stack": "[" * 20_000 + "]" * 20_000,
    "deep objects": '{"a":' * 20 + "0" + "}" * 20,
    "a long text": f'"{"a" * 16_385}"',
    "a long list": f"[{'0,' * 16_384}0]",
    "a quote alone": '"',
    "a comment": "/* 1 */ 1",
    "two values": "1 1",
    "half a surrogate's escape": '"\\ud8"',
    "a line break in a text": '"\n"',
}
"""What is no JSON that everybody reads alike, or is too large; as text, for no encoder makes it."""

ODD = {
    "a zero byte": '"\\u0000"',
    "half a surrogate": '"\\ud800"',
    "the largest count": "9007199254740991",
    "a fraction": "0.1",
    "nothing": "null",
    "truth": "true",
    "less than nothing": "-1",
    "an object": "{}",
    "a time before all times": '"0000-00-00T00:00:00Z"',
    "a time after all times": '"9999-12-31T23:59:60Z"',
    "direction marks": '"\\u202e\\u0000\\uffff"',
}
"""Values that may be right somewhere, and must never break anything."""

WHOLE = {
    "nothing": b"",
    "white space": b" \n",
    "a list": b"[]",
    "null": b"null",
    "a text": b'"{}"',
    "half an object": b'{"a":',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "bytes that are not UTF-8": b'{"a": "\xff"}',
    "gzip that is not announced": gzip.compress(b"{}"),
}

# Each place gets every value: a few places of each operation's body.
FUZZING = settings(
    max_examples=EXAMPLES // 3,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with fuzzed_control_plane(tmp_path_factory.mktemp("hostile")) as running:
        yield running


def with_bodies(fuzzed: Fuzzed) -> list[Operation]:
    """Every operation that takes a body."""
    return [operation for operation in fuzzed.operations() if operation.body]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a body: the list or object, and the key in it."""
    if isinstance(value, list | dict):
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from places(inner)


@st.composite
def templates(draw: st.DrawFn, operation: Operation) -> str:
    """A body that fits the operation, with a hole somewhere."""
    case: Any = draw(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    body: dict[str, Any] = {**case.body, "unknown": {"of": "nobody"}}
    container, key = draw(st.sampled_from(list(places(body))))
    container[key] = HOLE
    return json.dumps(body)


def filled(template: str, hostile: str) -> bytes:
    return template.replace(f'"{HOLE}"', hostile, 1).encode()


def send(fuzzed: Fuzzed, operation: Operation, body: bytes, **headers: str) -> requests.Response:
    return fuzzed.session.request(
        operation.method,
        f"{fuzzed.plane.url}{operation.path}",
        data=body,
        headers={**fuzzed.headers(operation), "Content-Type": "application/json", **headers},
        timeout=10,
    )


def assert_refused(answer: requests.Response, of: str) -> None:
    assert answer.status_code in (413, 415, 422), (of, answer.text)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code


def each_template(operation: Operation, check: Callable[[str], None]) -> None:
    """Check with bodies of the operation that have a hole."""

    @FUZZING
    @given(templates(operation))
    def checked(template: str) -> None:
        check(template)

    checked()


def test_what_two_readers_read_in_two_ways_is_refused_wherever_it_stands(
    fuzzed: Fuzzed, subtests: pytest.Subtests
) -> None:
    def is_refused(operation: Operation, template: str) -> None:
        for name, hostile in REFUSED.items():
            assert_refused(send(fuzzed, operation, filled(template, hostile)), name)

    for operation in with_bodies(fuzzed):
        with subtests.test(operation=operation.label):
            each_template(operation, partial(is_refused, operation))


def test_odd_values_break_nothing_wherever_they_stand(
    fuzzed: Fuzzed, subtests: pytest.Subtests
) -> None:
    def breaks_nothing(operation: Operation, template: str) -> None:
        for name, odd in ODD.items():
            answer = send(fuzzed, operation, filled(template, odd))
            assert answer.ok or answer.status_code == 422, (name, answer.text)

    for operation in with_bodies(fuzzed):
        with subtests.test(operation=operation.label):
            each_template(operation, partial(breaks_nothing, operation))
    assert [line for line in fuzzed.plane.lines() if line["level"] == "error"] == []


@pytest.mark.parametrize("name", WHOLE)
def test_a_body_that_is_no_object_in_utf_8_is_refused(fuzzed: Fuzzed, name: str) -> None:
    for operation in with_bodies(fuzzed):
        assert_refused(send(fuzzed, operation, WHOLE[name]), name)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "x"])
def test_a_body_that_does_not_inflate_or_inflates_to_too_much_is_refused(
    fuzzed: Fuzzed, encoding: str
) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024), 9)
    for operation in with_bodies(fuzzed):
        for body in (bomb, bomb[:-9], bomb + b"x", zlib.compress(b"{}"), b"{}"):
            assert_refused(
                send(fuzzed, operation, body, **{"Content-Encoding": encoding}), encoding
            )
