"""AWS event streams: published messages, names of events, and what damage does."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.framing import (
    Event,
    EventStreamFraming,
    ExtractionLimits,
    Gap,
    GapReason,
    Item,
)
from agentspec_usage.extraction.framing.eventstream import string_headers
from tests.unit.extraction.framing.chunking import every_cut, items_of
from tests.unit.extraction.framing.composing import event_stream_bytes, event_stream_message

# Vectors of the AWS SDKs with their checksums: awslabs/aws-c-event-stream and botocore's tests.
EMPTY = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff"
ONE_BYTE_HEADER = b"\x00\x00\x00\x17\x00\x00\x00\x07)\x86\x01X\x04byte\x02\xff\xc2\xf8i\xdc"
PAYLOAD_ONLY = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96"
ONE_STRING_HEADER = (
    b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json"
    b"{'foo':'bar'}\x8d\x9c\x08\xb1"
)
ALL_HEADER_TYPES = (
    b"\x00\x00\x00b\x00\x00\x00R\x03\xb5\xcb\x9c\x010\x00\x011\x01\x012\x02\x02\x013\x03\x00\x03"
    b"\x014\x04\x00\x00\x00\x04\x015\x05\x00\x00\x00\x00\x00\x00\x00\x05\x016\x06\x00\x05bytes"
    b"\x017\x07\x00\x04utf8\x018\x08\x00\x00\x00\x00\x00\x00\x00\x08\x019\x090123456789abcdef"
    b"c5" + b"6q"
)

METADATA = event_stream_message(
    b'{"usage":{"inputTokens":30}}',
    {":event-type": "metadata", ":content-type": "application/json", ":message-type": "event"},
)
DAMAGED, MALFORMED = Gap(GapReason.DAMAGED), Gap(GapReason.MALFORMED)
OVERFLOW, TRUNCATED = Gap(GapReason.OVERFLOW), Gap(GapReason.TRUNCATED)
USAGE = Event("metadata", b'{"usage":{"inputTokens":30}}')


def _with_bit_flipped(message: bytes, at: int) -> bytes:
    damaged = bytearray(message)
    damaged[at] ^= 0x10
    return bytes(damaged)


@pytest.mark.parametrize(
    ("stream", "items"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(EMPTY, [Event("", b"")], id="published: empty"),
        pytest.param(ONE_BYTE_HEADER, [Event("", b"")], id="published: a byte header"),
        pytest.param(PAYLOAD_ONLY, [Event("", b"{'foo':'bar'}")], id="published: payload"),
        pytest.param(ONE_STRING_HEADER, [Event("", b"{'foo':'bar'}")], id="published: a string"),
        pytest.param(ALL_HEADER_TYPES, [Event("", b"")], id="published: every header type"),
        pytest.param(METADATA + METADATA, [USAGE, USAGE], id="event names"),
        pytest.param(
            event_stream_message(b"{}", {":exception-type": "throttlingException"}),
            [Event("throttlingException", b"{}")],
            id="an exception",
        ),
        pytest.param(
            event_stream_message(b"", {":error-code": "InternalFailure"}),
            [Event("InternalFailure", b"")],
            id="an error",
        ),
        pytest.param(METADATA[:-1], [TRUNCATED], id="cut off"),
        pytest.param(METADATA + b"\x00", [USAGE, TRUNCATED], id="cut off in a prelude"),
        pytest.param(
            _with_bit_flipped(METADATA, -6) + METADATA, [DAMAGED, USAGE], id="damaged payload"
        ),
        pytest.param(
            _with_bit_flipped(METADATA, 15) + METADATA, [DAMAGED, USAGE], id="damaged header"
        ),
        pytest.param(_with_bit_flipped(METADATA, 2) + METADATA, [MALFORMED], id="damaged length"),
        pytest.param(
            event_stream_bytes(b"", b"\x01x\x0a") + METADATA, [DAMAGED, USAGE], id="no headers"
        ),
        pytest.param(b"HTTP/1.1 502 Bad Gateway\r\n", [MALFORMED], id="something else"),
    ],
)
def test_a_stream_is_its_messages_however_it_is_cut(stream: bytes, items: list[Item]) -> None:
    assert items_of(EventStreamFraming(), stream) == items
    for pieces in every_cut(stream):
        assert items_of(EventStreamFraming(), *pieces) == items


def test_a_message_past_the_bound_is_skipped_and_the_next_one_read() -> None:
    large = event_stream_message(b"x" * 500, {":event-type": "chunk"})
    limits = ExtractionLimits(event_bytes=200)

    for pieces in every_cut(METADATA + large + METADATA):
        assert items_of(EventStreamFraming(limits=limits), *pieces) == [USAGE, OVERFLOW, USAGE]
    assert items_of(EventStreamFraming(limits=limits), large[:-1]) == [OVERFLOW, TRUNCATED]


@pytest.mark.parametrize(
    ("length", "headers_length"),
    [
        pytest.param(0, 0, id="nothing"),
        pytest.param(15, 0, id="less than a prelude and a checksum"),
        pytest.param(16, 1, id="headers past the end"),
        pytest.param(16, 0xFFFFFFFF, id="very long headers"),
    ],
)
def test_a_length_that_cannot_be_ends_the_stream(length: int, headers_length: int) -> None:
    prelude = struct.pack(">II", length, headers_length)
    stream = prelude + struct.pack(">I", crc32(prelude)) + METADATA

    assert items_of(EventStreamFraming(), stream) == [MALFORMED]


def test_only_string_headers_are_told() -> None:
    assert string_headers(ALL_HEADER_TYPES[12:94]) == {"7": "utf8"}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"\x05ab", id="name cut off"),
        pytest.param(b"\x01a", id="no type"),
        pytest.param(b"\x01a\x04\x00\x00", id="number cut off"),
        pytest.param(b"\x01a\x07\x00", id="length cut off"),
        pytest.param(b"\x01a\x07\x00\x05abc", id="text cut off"),
        pytest.param(b"\x01a\x0a", id="unknown type"),
        pytest.param(b"\x01a\x07\x00\x01\xff", id="no UTF-8"),
    ],
)
def test_what_are_no_headers_is_refused(headers: bytes) -> None:
    with pytest.raises(WireError, match="headers"):
        string_headers(headers)
