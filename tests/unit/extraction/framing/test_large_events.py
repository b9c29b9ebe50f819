"""Events past the bound are picked from while they pass, or skipped, and the others are read."""

from __future__ import annotations

import tracemalloc

import pytest

from agentspec_usage.extraction.framing import (
    Event,
    ExtractionLimits,
    Gap,
    GapReason,
    Item,
    JsonArrayFraming,
    JsonDocumentFraming,
    NdjsonFraming,
    Picked,
    PickedEvent,
    SseFraming,
)
from tests.unit.extraction.framing.chunking import every_cut, items_of

LIMITS = ExtractionLimits(event_bytes=60)
LARGE = b'{"image":"%s","usage":{"a":1}}' % (b"x" * 80)
SMALL = b'{"usage":{"a":2}}'
PICKED = Picked({"usage": {"a": 1}})

STREAMS = [
    pytest.param(SseFraming, b"data: %s\n\n", "", id="SSE"),
    pytest.param(SseFraming, b"event: done\r\ndata:%s\r\n\r\n", "done", id="SSE, named, CRLF"),
    pytest.param(
        SseFraming, b"data: %s\nevent: done\nevent: last\n\n", "last", id="SSE, name last"
    ),
    pytest.param(SseFraming, b": c\nid: 1\nretry\ndata: %s\n: c\n\n", "", id="SSE, other fields"),
    pytest.param(NdjsonFraming, b"%s\n", "", id="NDJSON"),
]


@pytest.mark.parametrize(("new", "form", "name"), STREAMS)
def test_a_large_event_is_picked_from_however_it_is_cut(
    new: type[SseFraming | NdjsonFraming], form: bytes, name: str
) -> None:
    stream = form % SMALL + form % LARGE + form % SMALL
    small = Event(name, SMALL)

    for pieces in ([stream], *every_cut(stream)):
        items = items_of(new(("usage",), LIMITS), *pieces)
        assert items == [small, PickedEvent(name, PICKED), small]


@pytest.mark.parametrize(("new", "form", "name"), STREAMS)
def test_a_large_event_of_which_nothing_is_wanted_is_one_gap(
    new: type[SseFraming | NdjsonFraming], form: bytes, name: str
) -> None:
    stream = form % LARGE + form % SMALL

    for pieces in ([stream], *every_cut(stream)):
        items = items_of(new((), LIMITS), *pieces)
        assert items == [Gap(GapReason.OVERFLOW), Event(name, SMALL)]


def test_data_of_several_lines_is_picked_from() -> None:
    lines = b'data: {"image":"%s",\ndata:"usage":{\ndata:  "a":1}\ndata\ndata: }\n\n' % (b"x" * 80)

    for pieces in ([lines], *every_cut(lines)):
        items = items_of(SseFraming(("usage",), LIMITS), *pieces)
        assert items == [PickedEvent("", PICKED)]


def test_of_a_line_only_the_first_space_is_left_out() -> None:
    stream = b'data:  {"usage":"a  b c","image":"%s"}\n\n' % (b"x" * 80)

    for pieces in ([stream], *every_cut(stream)):
        items = items_of(SseFraming(("usage",), LIMITS), *pieces)
        assert items == [PickedEvent("", Picked({"usage": "a  b c"}))]


def test_lines_of_data_are_not_joined_without_a_line_end() -> None:
    stream = b'data: {"usage":1\ndata: 2,"image":"%s"}\n\n' % (b"x" * 80)
    expected = [PickedEvent("", Picked({"usage": 1}, Gap(GapReason.MALFORMED)))]

    for pieces in ([stream], *every_cut(stream)):
        assert items_of(SseFraming(("usage",), LIMITS), *pieces) == expected


def test_a_large_event_at_the_end_needs_no_blank_line() -> None:
    stream = b"data: " + LARGE

    for pieces in ([stream], *every_cut(stream)):
        assert items_of(SseFraming(("usage",), LIMITS), *pieces) == [PickedEvent("", PICKED)]


def test_a_large_block_without_data_is_no_event() -> None:
    for stream in (b": " + b"x" * 99 + b"\n\n", b"event: " + b"x" * 99):
        for pieces in ([stream], *every_cut(stream)):
            assert items_of(SseFraming(("usage",), LIMITS), *pieces) == []


def test_a_large_event_that_is_no_json_says_so() -> None:
    stream = b"data: " + b"x" * 99 + b"\n\n"
    expected: list[Item] = [PickedEvent("", Picked({}, Gap(GapReason.TRUNCATED)))]

    for pieces in ([stream], *every_cut(stream)):
        assert items_of(SseFraming(("usage",), LIMITS), *pieces) == expected


def test_a_large_element_and_a_large_document_are_picked_from() -> None:
    array = b"[%s,\r\n%s , %s]" % (SMALL, LARGE, SMALL)
    expected: list[Item] = [Event("", SMALL), PickedEvent("", PICKED), Event("", SMALL)]

    for pieces in ([array], *every_cut(array)):
        assert items_of(JsonArrayFraming(("usage",), LIMITS), *pieces) == expected
    for pieces in ([LARGE], *every_cut(LARGE)):
        items = items_of(JsonDocumentFraming(("usage",), LIMITS), *pieces)
        assert items == [PickedEvent("", PICKED)]


@pytest.mark.parametrize(
    ("new", "start", "filling"),
    [
        pytest.param(SseFraming, b"data: ", b"x" * 65536, id="SSE: one line"),
        pytest.param(SseFraming, b"", b"data: %s\n" % (b"x" * 57) * 1024, id="SSE: many lines"),
        pytest.param(SseFraming, b"", b"x" * 65536, id="SSE: no field"),
        pytest.param(NdjsonFraming, b"", b"x" * 65536, id="NDJSON"),
        pytest.param(JsonArrayFraming, b"[", b"[" * 65536, id="array: brackets"),
        pytest.param(JsonArrayFraming, b'["', b"x" * 65536, id="array: string"),
        pytest.param(JsonDocumentFraming, b'{"x":[', b"1," * 32768, id="document"),
    ],
)
@pytest.mark.parametrize("wanted", [(), ("usage",)])
def test_an_event_without_end_takes_constant_memory(
    new: type[SseFraming | NdjsonFraming | JsonArrayFraming | JsonDocumentFraming],
    start: bytes,
    filling: bytes,
    wanted: tuple[str, ...],
) -> None:
    framing = new(wanted, ExtractionLimits(event_bytes=1 << 18))
    tracemalloc.start()
    try:
        assert list(framing.feed(start)) == []
        for _ in range(128):
            assert list(framing.feed(filling)) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2 << 20
