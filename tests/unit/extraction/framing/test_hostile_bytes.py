"""Whatever the bytes are: no exception, and the same items however they are cut."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.extraction.framing import (
    ContentDecoder,
    EventStreamFraming,
    ExtractionLimits,
    Framing,
    Gap,
    GapReason,
    JsonArrayFraming,
    JsonDocumentFraming,
    MessageInflater,
    NdjsonFraming,
    SseFraming,
    UsageChunkFilter,
    WebSocketFraming,
)
from tests.unit.extraction.framing.chunking import items_of, joined, pieces_of
from tests.unit.extraction.framing.composing import event_stream_message, frame

LIMITS = ExtractionLimits(event_bytes=40, value_bytes=20, decoded_bytes=500)
WANTED = ("id", "response.usage")

_JSON = [b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b'"id"', b"1", b" ", b"\n", b"\xff"]
_JSON += [b'{"id":1}', b'{"response":{"usage":1}}', b"x" * 50, b"[" * 50]
_SSE = [b"data: ", b"event: ", b"\r", b"\n\n", *_JSON]
_MESSAGE = event_stream_message(b"{}", {":event-type": "chunk"})
_EVENT_STREAM = [_MESSAGE, _MESSAGE[:9], _MESSAGE[-9:], event_stream_message(b"x" * 50, {}), b"\0"]
_FRAMES = [frame(1, b"{}"), frame(1, b'{"id":1', final=False), frame(0, b"}"), frame(9, b"ping")]
_FRAMES += [
    frame(0x41, b"\xca\x48\xcd\xc9\xc9\x07\x00"),
    frame(2, b"x" * 50, mask=b"abcd"),
    b"\x81",
]
_FRAMES += [b"\xc1\x7f\xff\xff", frame(0x41, b"\xff"), frame(8, b"")]

NewLimited = Callable[[], Framing]


@pytest.mark.parametrize(
    ("new", "tokens"),
    [
        pytest.param(lambda: SseFraming(WANTED, LIMITS), _SSE, id="SSE"),
        pytest.param(lambda: NdjsonFraming(WANTED, LIMITS), _JSON, id="NDJSON"),
        pytest.param(lambda: JsonArrayFraming(WANTED, LIMITS), _JSON, id="JSON array"),
        pytest.param(lambda: JsonDocumentFraming(WANTED, LIMITS), _JSON, id="JSON"),
        pytest.param(lambda: EventStreamFraming((), LIMITS), _EVENT_STREAM, id="event stream"),
        pytest.param(
            lambda: WebSocketFraming(WANTED, LIMITS, MessageInflater(True)), _FRAMES, id="WebSocket"
        ),
    ],
)
@given(data=st.data())
def test_any_bytes_in_any_pieces_give_the_same_items(
    new: NewLimited, tokens: list[bytes], data: st.DataObject
) -> None:
    bodies = st.lists(st.sampled_from(tokens), max_size=12).map(joined) | st.binary(max_size=60)
    pieces = data.draw(pieces_of(bodies))

    assert items_of(new(), *pieces) == items_of(new(), joined(pieces))


@pytest.mark.parametrize(
    ("framing", "poison", "valid"),
    [
        pytest.param(JsonArrayFraming(), b"[<", b"{}]", id="JSON array"),
        pytest.param(EventStreamFraming(), b"x" * 12, _MESSAGE, id="event stream"),
        pytest.param(WebSocketFraming(), b"\xf1\x00", frame(1, b"{}"), id="WebSocket"),
    ],
)
def test_nothing_is_read_after_what_is_malformed(
    framing: Framing, poison: bytes, valid: bytes
) -> None:
    assert list(framing.feed(poison)) == [Gap(GapReason.MALFORMED)]
    assert list(framing.feed(valid)) == []
    assert list(framing.end()) == []


@given(pieces_of(st.binary(max_size=40)), st.sampled_from(["gzip", "deflate", "gzip, deflate"]))
def test_no_bytes_break_a_content_decoder(pieces: list[bytes], coding: str) -> None:
    decoder = ContentDecoder(coding, limits=LIMITS)
    told = sum(len(plain) for piece in pieces for plain in decoder.feed(piece))
    decoder.end()

    assert told <= LIMITS.decoded_bytes


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255))))
def test_no_damage_breaks_a_content_decoder(plain: bytes, damage: list[tuple[int, int]]) -> None:
    body = bytearray(gzip.compress(plain))
    for at, byte in damage:
        body[at % len(body)] = byte
    decoder = ContentDecoder("gzip", limits=LIMITS)
    told = b"".join(decoder.feed(bytes(body)))

    assert decoder.end() is not None or told == plain


@given(pieces_of(st.binary(max_size=60)))
def test_the_usage_chunk_filter_never_changes_other_bytes(pieces: list[bytes]) -> None:
    chunks = UsageChunkFilter()
    passed = b"".join(chunks.feed(piece) for piece in pieces) + chunks.end()

    assert passed == joined(pieces)
