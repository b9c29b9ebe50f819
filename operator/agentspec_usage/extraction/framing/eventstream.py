"""AWS event streams (``application/vnd.amazon.eventstream``): Bedrock's binary framing.

A message is a prelude (its length, its headers' length, a CRC-32 of both), headers, a payload, and
a CRC-32 of everything before. The prelude's checksum is what makes the length trustworthy: where it
fails, the next message cannot be found and reading ends; where the message's fails, the next one
can. An event's name is its ``:event-type``, or the kind of exception or error that came instead.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from zlib import crc32

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.framing.events import Event, Item
from agentspec_usage.extraction.framing.gaps import Gap, GapReason
from agentspec_usage.extraction.framing.limits import ExtractionLimits

__all__ = ["EventStreamFraming", "string_headers"]

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_SHORT = struct.Struct(">H")
_SMALLEST = _PRELUDE.size + _CHECKSUM.size

_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by type: true, false, byte, short, int, long, timestamp, UUID."""
_BYTES, _STRING = 6, 7

_NAMES = (":event-type", ":exception-type", ":error-code")


class EventStreamFraming:
    """Messages to events. A payload is never picked from: a large one is a gap."""

    def __init__(self, wanted: Iterable[str] = (), limits: ExtractionLimits | None = None) -> None:
        self._limits = limits or ExtractionLimits()
        self._pending = bytearray()
        self._skip = 0
        self._over = False

    def feed(self, data: bytes) -> list[Item]:
        if self._over:
            return []
        items: list[Item] = []
        self._pending += data
        while (item := self._next()) is not None:
            items.append(item)
        return items

    def end(self) -> list[Item]:
        cut_off = not self._over and bool(self._pending or self._skip)
        self._over = True
        return [Gap(GapReason.TRUNCATED)] if cut_off else []

    def _next(self) -> Item | None:
        """The next message if all of it has come."""
        pending = self._pending
        if self._skip:
            skipped = min(self._skip, len(pending))
            del pending[:skipped]
            self._skip -= skipped
        if self._over or len(pending) < _PRELUDE.size:
            return None
        length, headers_length, checksum = _PRELUDE.unpack_from(pending)
        if crc32(pending[:8]) != checksum or not _SMALLEST + headers_length <= length:
            self._over = True
            pending.clear()
            return Gap(GapReason.MALFORMED)
        if length > self._limits.event_bytes:
            self._skip = length
            return Gap(GapReason.OVERFLOW)
        if len(pending) < length:
            return None
        message = bytes(pending[:length])
        del pending[:length]
        return _event(message, headers_length)


def _event(message: bytes, headers_length: int) -> Item:
    body = message[: -_CHECKSUM.size]
    if crc32(body) != _CHECKSUM.unpack_from(message, len(body))[0]:
        return Gap(GapReason.DAMAGED)
    payload_at = _PRELUDE.size + headers_length
    try:
        headers = string_headers(body[_PRELUDE.size : payload_at])
    except WireError:
        return Gap(GapReason.DAMAGED)
    name = next((headers[name] for name in _NAMES if name in headers), "")
    return Event(name, body[payload_at:])


def string_headers(data: bytes) -> dict[str, str]:
    """The headers whose values are strings. Raises WireError for what are no headers."""
    headers: dict[str, str] = {}
    position = 0
    try:
        while position < len(data):
            name_at, value_type_at = position + 1, position + 1 + data[position]
            kind = data[value_type_at]
            value_at = value_type_at + 1
            if kind in _FIXED_SIZES:
                position = value_at + _FIXED_SIZES[kind]
            elif kind in (_BYTES, _STRING):
                (size,) = _SHORT.unpack_from(data, value_at)
                value_at += _SHORT.size
                position = value_at + size
            else:
                raise WireError("headers", f"a header type from 0 to 9, got {kind}")
            if position > len(data):
                raise WireError("headers", "a value within the headers")
            if kind == _STRING:
                headers[data[name_at:value_type_at].decode()] = data[value_at:position].decode()
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise WireError("headers", "whole headers in UTF-8") from error
    return headers
