"""DEFLATE as HTTP and WebSocket use it, decompressed in pieces of bounded size.

Servers differ from the specifications in ways that every client tolerates: ``deflate`` often comes
without its zlib wrapper, gzip may have several members, and padding may follow the last one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentspec_usage.errors import WireError

if TYPE_CHECKING:
    from zlib import _Decompress

__all__ = ["PIECE", "GzipDecoder", "MessageInflater", "ZlibDecoder"]

PIECE = 64 << 10
"""Bytes that are decompressed at a time, so that a bomb costs no memory."""

_RAW, _ZLIB, _GZIP = -zlib.MAX_WBITS, zlib.MAX_WBITS, zlib.MAX_WBITS | 16
_MEMBER = b"\x1f\x8b"
_FLUSHED = b"\x00\x00\xff\xff"


def _pieces(decompressor: _Decompress, data: bytes) -> Iterator[bytes]:
    try:
        while not decompressor.eof:
            piece = decompressor.decompress(data, PIECE)
            if piece:
                yield piece
            data = decompressor.unconsumed_tail
            if not data and len(piece) < PIECE:
                return
    except zlib.error as error:
        raise WireError("", "deflate") from error


class GzipDecoder:
    """gzip (RFC 1952) of any number of members. What follows and is none is ignored."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._between = b""
        self._over = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data and not self._over:
            if self._member.eof:
                data = self._between + data
                if len(data) < len(_MEMBER) and _MEMBER.startswith(data):
                    self._between = data
                    return
                if not data.startswith(_MEMBER):
                    self._over = True
                    return
                self._member, self._between = zlib.decompressobj(_GZIP), b""
            yield from _pieces(self._member, data)
            data = self._member.unused_data

    @property
    def ended(self) -> bool:
        return self._member.eof


class ZlibDecoder:
    """``deflate``: zlib (RFC 1950), or bare DEFLATE (RFC 1951) where it does not begin as zlib."""

    def __init__(self) -> None:
        self._start = b""
        self._decompressor: _Decompress | None = None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self._decompressor is None:
            data = self._start + data
            if len(data) < 2:
                self._start = data
                return
            self._decompressor = zlib.decompressobj(_ZLIB if _is_zlib(data) else _RAW)
        yield from _pieces(self._decompressor, data)

    @property
    def ended(self) -> bool:
        return self._decompressor is not None and self._decompressor.eof


def _is_zlib(data: bytes) -> bool:
    return data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0


class MessageInflater:
    """Messages of permessage-deflate (RFC 7692), in one direction of a WebSocket."""

    def __init__(self, keeps_context: bool) -> None:
        self._keeps_context = keeps_context
        self._decompressor = zlib.decompressobj(_RAW)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """More of the message. Raises WireError for what is no DEFLATE."""
        if self._decompressor.eof:
            # A sender may end its stream with each message (RFC 7692, 7.2.3.4).
            self._decompressor = zlib.decompressobj(_RAW)
        yield from _pieces(self._decompressor, data)

    def end(self) -> Iterator[bytes]:
        """The message is complete: what its sender cut off is put back."""
        if not self._decompressor.eof:
            yield from _pieces(self._decompressor, _FLUSHED)
        if not self._keeps_context or self._decompressor.eof:
            self._decompressor = zlib.decompressobj(_RAW)
