"""The body of an HTTP/1.1 message: where it ends, what of it is payload, and how it is sent on.

Payload passes unchanged; what frames it is read here and written anew. Chunk sizes and extensions
that two programs read differently are how one request is hidden inside another, and no byte of them
reaches the other side.

The readers hold at most an incomplete framing line; how much payload is in memory is the caller's
backpressure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from agentspec_usage.sidecar.proxy.heads import (
    HeaderLine,
    MessageError,
    RequestHead,
    ResponseHead,
    parse_header_lines,
    tokens,
    values,
)

__all__ = [
    "BodyReader",
    "Framing",
    "FramingKind",
    "body_reader",
    "encode_end",
    "encode_piece",
    "request_framing",
    "response_framing",
]

_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\x00]*)?")
_MAX_LINE = 1024
_MAX_TRAILERS = 16 * 1024


class FramingKind(Enum):
    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


@dataclass(frozen=True, slots=True)
class Framing:
    """How a body is delimited. ``length`` in bytes, for LENGTH alone."""

    kind: FramingKind
    length: int = 0


_NONE = Framing(FramingKind.NONE)
_CHUNKED = Framing(FramingKind.CHUNKED)
_UNTIL_CLOSE = Framing(FramingKind.UNTIL_CLOSE)


def request_framing(head: RequestHead) -> Framing:
    """RFC 9112, 6.3, less what could be read in two ways. Raises MessageError."""
    return _framing(head.lines, head.minor) or _NONE


def response_framing(head: ResponseHead, method: bytes) -> Framing:
    """Of a final answer to ``method``. Raises MessageError."""
    if method == b"HEAD" or head.status in (204, 304) or head.status < 200:
        return _NONE
    return _framing(head.lines, head.minor) or _UNTIL_CLOSE


def _framing(lines: Sequence[HeaderLine], minor: int) -> Framing | None:
    lengths = values(lines, b"content-length")
    encodings = tokens(lines, b"transfer-encoding")
    if encodings or any(line.key == b"transfer-encoding" for line in lines):
        if lengths:
            raise MessageError("a body has one framing: Content-Length or Transfer-Encoding")
        if encodings != [b"chunked"]:
            raise MessageError("the only transfer encoding is chunked", 501)
        if not minor:
            raise MessageError("HTTP/1.0 has no transfer encodings")
        return _CHUNKED
    if not lengths:
        return None
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise MessageError("a Content-Length is one number")
    return Framing(FramingKind.LENGTH, int(lengths[0]))


class BodyReader(Protocol):
    """Takes payload out of the bytes that follow a head."""

    @property
    def done(self) -> bool:
        """Whether the body is over."""
        ...

    @property
    def trailers(self) -> Sequence[HeaderLine]: ...

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """The payload in ``data``, and the bytes behind it that are not read yet: an incomplete
        framing line, or what follows the body. Raises MessageError.
        """
        ...


def body_reader(framing: Framing) -> BodyReader:
    """A reader for one body."""
    if framing.kind is FramingKind.CHUNKED:
        return _ChunkedBody()
    if framing.kind is FramingKind.UNTIL_CLOSE:
        return _EndlessBody()
    return _LengthBody(framing.length)


class _LengthBody:
    __slots__ = ("_left", "trailers")

    def __init__(self, length: int) -> None:
        self._left = length
        self.trailers: Sequence[HeaderLine] = ()

    @property
    def done(self) -> bool:
        return not self._left

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        if len(data) <= self._left:
            self._left -= len(data)
            return data, b""
        payload, rest = data[: self._left], data[self._left :]
        self._left = 0
        return payload, rest


class _EndlessBody:
    """Over when the connection is, which its owner sees."""

    __slots__ = ("done", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers: Sequence[HeaderLine] = ()

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        return data, b""


class _Expects(Enum):
    SIZE = auto()
    DATA = auto()
    LINE_END = auto()
    TRAILER = auto()


class _ChunkedBody:
    """All chunks in what arrived become one piece of payload, so a body in chunks of one byte costs
    no more pieces than the network made of it.
    """

    __slots__ = ("_expects", "_left", "_trailer_bytes", "_trailer_lines", "done", "trailers")

    def __init__(self) -> None:
        self._expects = _Expects.SIZE
        self._left = 0
        self._trailer_bytes = 0
        self._trailer_lines: list[bytes] = []
        self.done = False
        self.trailers: Sequence[HeaderLine] = ()

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        pieces: list[bytes] = []
        at = 0
        while not self.done:
            if self._expects is _Expects.DATA:
                piece = data[at : at + self._left]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._expects = _Expects.LINE_END
                continue
            end = data.find(b"\r\n", at, at + _MAX_LINE)
            if end < 0:
                if len(data) - at >= _MAX_LINE:
                    raise MessageError("a line of a chunked body is too long")
                break
            self._line(data[at:end])
            at = end + 2
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), data[at:]

    def _line(self, line: bytes) -> None:
        if self._expects is _Expects.SIZE:
            matched = _CHUNK_SIZE.fullmatch(line)
            if matched is None:
                raise MessageError("a chunk size is a hexadecimal number")
            self._left = int(matched[1], 16)
            self._expects = _Expects.DATA if self._left else _Expects.TRAILER
        elif self._expects is _Expects.LINE_END:
            if line:
                raise MessageError("a chunk is longer than its size")
            self._expects = _Expects.SIZE
        elif line:
            self._trailer_bytes += len(line) + 2
            if self._trailer_bytes > _MAX_TRAILERS:
                raise MessageError("the trailers are too large", 431)
            self._trailer_lines.append(line)
        else:
            self.trailers = parse_header_lines(self._trailer_lines)
            self.done = True


def encode_piece(kind: FramingKind, payload: bytes) -> bytes:
    """``payload`` as it is sent under ``kind``; an empty piece, which would end a chunked body, is
    nothing.
    """
    if kind is FramingKind.CHUNKED and payload:
        return b"%x\r\n%b\r\n" % (len(payload), payload)
    return payload


def encode_end(kind: FramingKind, trailers: Sequence[HeaderLine] = ()) -> bytes:
    """What ends a body under ``kind``."""
    if kind is not FramingKind.CHUNKED:
        return b""
    if not trailers:
        return b"0\r\n\r\n"
    return b"0\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % line[1:] for line in trailers)
