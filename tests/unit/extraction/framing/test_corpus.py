"""Bodies as providers send them: whole, cut at every place, compressed, and cut off."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from agentspec_usage.extraction.framing import (
    ContentDecoder,
    Event,
    EventStreamFraming,
    ExtractionLimits,
    Framing,
    Gap,
    Item,
    JsonArrayFraming,
    JsonDocumentFraming,
    NdjsonFraming,
    SseFraming,
    WebSocketFraming,
)
from tests.unit.extraction.framing.chunking import every_cut, items_of, single_bytes
from tests.unit.extraction.framing.composing import event_stream_message, frame

CORPUS = Path(__file__).parents[3] / "fixtures" / "corpus" / "framing"
EXPECTED: dict[str, list[str | list[str]]] = json.loads((CORPUS / "expected.json").read_text())
BODIES = {name: (CORPUS / name).read_bytes() for name in EXPECTED}
WANTED = ("id", "usage", "usageMetadata")


def _framing(name: str, limits: ExtractionLimits | None = None) -> Framing:
    match name.rpartition(".")[2]:
        case "sse":
            return SseFraming(WANTED, limits)
        case "ndjson":
            return NdjsonFraming(WANTED, limits)
        case "json_array":
            return JsonArrayFraming(WANTED, limits)
        case _:
            return JsonDocumentFraming(WANTED, limits)


def _told(items: list[Item]) -> list[str | list[str]]:
    told: list[str | list[str]] = []
    for item in items:
        assert isinstance(item, Event | Gap)
        told.append(
            [item.name, item.data.decode("utf-8", "replace")]
            if isinstance(item, Event)
            else item.reason
        )
    return told


def test_every_body_of_the_corpus_is_expected_to_be_something() -> None:
    bodies = {path.name for path in CORPUS.iterdir()} - {"README.md", "expected.json"}

    assert bodies == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_body_is_told_as_expected_however_it_is_cut(name: str) -> None:
    for pieces in ([BODIES[name]], *every_cut(BODIES[name])):
        assert _told(items_of(_framing(name), *pieces)) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_body_past_the_bound_is_told_alike_however_it_is_cut(name: str) -> None:
    limits = ExtractionLimits(event_bytes=100)
    whole = items_of(_framing(name, limits), BODIES[name])

    for pieces in every_cut(BODIES[name]):
        assert items_of(_framing(name, limits), *pieces) == whole


@pytest.mark.parametrize("name", EXPECTED)
def test_a_compressed_body_is_told_as_the_plain_one(name: str) -> None:
    decoder, framing = ContentDecoder("gzip"), _framing(name)
    compressed = single_bytes(gzip.compress(BODIES[name]))
    pieces = [plain for byte in compressed for plain in decoder.feed(byte)]

    assert _told(items_of(framing, *pieces)) == EXPECTED[name]
    assert decoder.end() is None


@pytest.mark.parametrize("name", EXPECTED)
def test_of_a_body_that_is_cut_off_all_but_the_last_item_stays(name: str) -> None:
    for at in range(len(BODIES[name])):
        told = _told(items_of(_framing(name), BODIES[name][:at]))
        assert told[:-1] == EXPECTED[name][: max(0, len(told) - 1)]


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.endswith(".sse")])
def test_the_same_events_in_binary_framings_are_told_alike(name: str) -> None:
    events = items_of(SseFraming(), BODIES[name])
    messages, frames = b"", b""
    for event in events:
        assert isinstance(event, Event)
        messages += event_stream_message(event.data, {":event-type": event.name})
        frames += frame(1, event.data, mask=b"\x01\x80\xff\x00")
    expected = [event.data for event in events if isinstance(event, Event)]

    assert items_of(EventStreamFraming(), *single_bytes(messages)) == events
    for pieces in ([frames], single_bytes(frames)):
        told = items_of(WebSocketFraming(), *pieces)
        assert [item.data for item in told if isinstance(item, Event)] == expected
