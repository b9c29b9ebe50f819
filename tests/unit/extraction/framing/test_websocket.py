"""WebSocket frames to messages: fragments, masks, control frames, and what is refused."""

from __future__ import annotations

import zlib

import pytest

from agentspec_usage.extraction.framing import (
    Event,
    ExtractionLimits,
    Gap,
    GapReason,
    Item,
    MessageInflater,
    Picked,
    PickedEvent,
    WebSocketFraming,
    agreed_deflate,
)
from agentspec_usage.extraction.framing.socket_extensions import Deflate
from tests.unit.extraction.framing.chunking import every_cut, items_of
from tests.unit.extraction.framing.composing import frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
COMPRESSED = 0x40
MASK = b"\x37\xfa\x21\x3d"
MALFORMED, TRUNCATED = Gap(GapReason.MALFORMED), Gap(GapReason.TRUNCATED)


def _deflated(message: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\x00\x00\xff\xff")


@pytest.mark.parametrize(
    ("stream", "items"),
    [
        pytest.param(b"", [], id="nothing"),
        # RFC 6455, 5.7
        pytest.param(b"\x81\x05Hello", [Event("", b"Hello")], id="published: text"),
        pytest.param(
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
            [Event("", b"Hello")],
            id="published: masked text",
        ),
        pytest.param(b"\x01\x03Hel\x80\x02lo", [Event("", b"Hello")], id="published: fragments"),
        pytest.param(b"\x89\x05Hello\x8a\x05Hello", [], id="published: ping and pong"),
        pytest.param(
            b"\x82\x7e\x01\x00" + b"x" * 256, [Event("", b"x" * 256)], id="published: 256 bytes"
        ),
        pytest.param(frame(TEXT, b""), [Event("", b"")], id="empty message"),
        pytest.param(
            frame(TEXT, b"a", mask=MASK) + frame(BINARY, b"b"),
            [Event("", b"a"), Event("", b"b")],
            id="text and binary",
        ),
        pytest.param(
            frame(TEXT, b"abc", final=False, mask=MASK)
            + frame(PING, b"abc", mask=MASK)
            + frame(CONTINUATION, b"", final=False)
            + frame(CONTINUATION, b"defgh", mask=MASK),
            [Event("", b"abcdefgh")],
            id="a ping between fragments",
        ),
        pytest.param(
            frame(TEXT, b"a") + frame(CLOSE, b"\x03\xe8bye") + b"\xff\xff",
            [Event("", b"a")],
            id="nothing is read after a close",
        ),
        pytest.param(frame(TEXT, b"abc")[:-1], [TRUNCATED], id="cut off in a frame"),
        pytest.param(frame(TEXT, b"abc")[:1], [TRUNCATED], id="cut off in a head"),
        pytest.param(frame(TEXT, b"abc", final=False), [TRUNCATED], id="cut off in a message"),
        pytest.param(frame(CONTINUATION, b"a"), [MALFORMED], id="a fragment of nothing"),
        pytest.param(
            frame(TEXT, b"a", final=False) + frame(TEXT, b"b"),
            [MALFORMED],
            id="a message within another",
        ),
        pytest.param(
            frame(TEXT, b"a") + frame(0x3, b""), [Event("", b"a"), MALFORMED], id="unknown opcode"
        ),
        pytest.param(frame(0xB, b""), [MALFORMED], id="unknown control opcode"),
        pytest.param(frame(TEXT | 0x20, b"a"), [MALFORMED], id="reserved bit"),
        pytest.param(
            frame(TEXT | COMPRESSED, b"a"), [MALFORMED], id="compressed without an agreement"
        ),
        pytest.param(frame(PING, b"", final=False), [MALFORMED], id="control frame in fragments"),
        pytest.param(frame(PING, b"x" * 126), [MALFORMED], id="long control frame"),
        pytest.param(b"HTTP/1.1 502", [MALFORMED], id="something else"),
    ],
)
def test_a_connection_is_its_messages_however_it_is_cut(stream: bytes, items: list[Item]) -> None:
    assert items_of(WebSocketFraming(), stream) == items
    for pieces in every_cut(stream):
        assert items_of(WebSocketFraming(), *pieces) == items


def test_a_frame_may_be_longer_than_a_short_length_can_say() -> None:
    payload = bytes(range(256)) * 300

    for mask in (b"", MASK):
        stream = frame(BINARY, payload, mask=mask)
        pieces = (stream[:9], stream[9:1001], stream[1001:])
        assert items_of(WebSocketFraming(), *pieces) == [Event("", payload)]


@pytest.mark.parametrize(
    ("stream", "items"),
    [
        # RFC 7692, 7.2.3
        pytest.param(
            b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", [Event("", b"Hello")], id="published: one"
        ),
        pytest.param(
            b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00",
            [Event("", b"Hello"), Event("", b"Hello")],
            id="published: with what the first one taught",
        ),
        pytest.param(
            b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00",
            [Event("", b"Hello")],
            id="published: fragments",
        ),
        pytest.param(
            b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
            [Event("", b"Hello")],
            id="published: without compression",
        ),
        pytest.param(
            b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00" * 2,
            [Event("", b"Hello"), Event("", b"Hello")],
            id="published: the stream ends with each message",
        ),
        pytest.param(
            b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
            [Event("", b"Hello")],
            id="published: two blocks",
        ),
        pytest.param(
            frame(TEXT, b"plain") + frame(TEXT | COMPRESSED, _deflated(b"small"), mask=MASK),
            [Event("", b"plain"), Event("", b"small")],
            id="not every message is compressed",
        ),
        pytest.param(
            frame(TEXT | COMPRESSED, b"\xff\xff\xff"), [MALFORMED], id="no compressed bytes"
        ),
        pytest.param(
            frame(TEXT, b"a", final=False) + frame(CONTINUATION | COMPRESSED, b""),
            [MALFORMED],
            id="compression begins within a message",
        ),
        pytest.param(frame(PING | COMPRESSED, b""), [MALFORMED], id="compressed control frame"),
    ],
)
def test_compressed_messages_are_read_where_compression_was_agreed_on(
    stream: bytes, items: list[Item]
) -> None:
    for pieces in ([stream], *every_cut(stream)):
        framing = WebSocketFraming(inflater=MessageInflater(keeps_context=True))
        assert items_of(framing, *pieces) == items


def test_a_message_does_not_use_the_one_before_where_no_context_is_kept() -> None:
    stream = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00"
    framing = WebSocketFraming(inflater=MessageInflater(keeps_context=False))

    assert items_of(framing, stream) == [Event("", b"Hello"), MALFORMED]


def test_a_large_message_is_picked_from() -> None:
    limits = ExtractionLimits(event_bytes=50)
    message = b'{"type":"response.done","audio":"%s","usage":{"a":1}}' % (b"x" * 100)
    expected = [PickedEvent("", Picked({"usage": {"a": 1}})), Event("", b"next")]
    plain = frame(TEXT, message) + frame(TEXT, b"next")
    deflated = frame(TEXT | COMPRESSED, _deflated(message)) + frame(TEXT, b"next")

    for stream in (plain, deflated):
        for pieces in every_cut(stream):
            framing = WebSocketFraming(("usage",), limits, MessageInflater(keeps_context=True))
            assert items_of(framing, *pieces) == expected


def test_a_message_that_expands_without_end_ends_the_reading() -> None:
    bomb = frame(TEXT | COMPRESSED, _deflated(b"x" * 5_000_000)) + frame(TEXT, b"next")
    limits = ExtractionLimits(decoded_bytes=1_000_000)
    framing = WebSocketFraming((), limits, MessageInflater(keeps_context=True))

    assert items_of(framing, bomb) == [Gap(GapReason.EXPANSION)]


@pytest.mark.parametrize(
    ("extensions", "agreed"),
    [
        pytest.param("", None, id="none"),
        pytest.param("x-webkit-deflate-frame", None, id="another"),
        pytest.param("permessage-deflate", Deflate(True, True), id="bare"),
        pytest.param(
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=12",
            Deflate(False, True),
            id="server",
        ),
        pytest.param(
            "foo, Permessage-Deflate ;client_no_context_takeover;server_max_window_bits=10",
            Deflate(True, False),
            id="client",
        ),
    ],
)
def test_what_was_agreed_on_is_read_from_the_answer(
    extensions: str, agreed: Deflate | None
) -> None:
    assert agreed_deflate(extensions) == agreed
