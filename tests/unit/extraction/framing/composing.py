"""Composes binary framings from their specifications: what the readers are given to read."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import crc32


def event_stream_message(payload: bytes, headers: Mapping[str, str]) -> bytes:
    """One message of ``application/vnd.amazon.eventstream``.

    https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html
    """
    block = b"".join(_string_header(name, value) for name, value in headers.items())
    return event_stream_bytes(payload, block)


def event_stream_bytes(payload: bytes, headers: bytes) -> bytes:
    """A message whose headers need not be any."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def _string_header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return bytes([len(key)]) + key + b"\x07" + struct.pack(">H", len(text)) + text


def frame(opcode: int, payload: bytes, *, final: bool = True, mask: bytes = b"") -> bytes:
    """One WebSocket frame (RFC 6455, 5.2)."""
    head = bytes([opcode | (0x80 if final else 0)])
    masked = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([masked | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([masked | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([masked | 127]) + struct.pack(">Q", len(payload))
    if mask:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + payload
