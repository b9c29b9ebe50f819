"""Reads one HTTP/1.1 answer from bytes, without I/O, and refuses what a usage endpoint has no
reason to send.

Feed bytes, get the body or None ("more"). Everything that a stranger can make long is bounded
before it is kept: the heads of the answer (interim 1xx answers included), the body, and the bytes
that only frame chunks. A refusal comes as early as it is certain: a status, a content encoding or a
declared length is judged before the body arrives.

Why not an HTTP client: no redirect, cookie, proxy, pool, resolver or decompressor exists here that
would have to be switched off, the bounds hold for every byte of the connection, and a scrape costs
about half of the CPU that a client's fresh connection does (``bench/scrape_transport.py``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import NoReturn

from agentspec_usage.errors import PeerError
from agentspec_usage.scrape.outcome import Failure

__all__ = ["AnswerError", "Bounds", "ResponseReader"]


class AnswerError(PeerError):
    """The answer is refused. The message is a fixed text of ours, with a status code at most."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of an answer is taken, in bytes.

    ``framing`` bounds chunk sizes and trailers: a body in chunks of one byte costs five more for
    each.
    """

    head: int = 16 * 1024
    body: int = 256 * 1024
    framing: int = 64 * 1024


class _State(Enum):
    HEAD = auto()
    LENGTH = auto()
    UNTIL_CLOSE = auto()
    CHUNK_SIZE = auto()
    CHUNK_DATA = auto()
    CHUNK_END = auto()
    TRAILER = auto()


_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n\x00]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*)")
_LENGTH = re.compile(rb"[0-9]{1,19}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\x00]*)?")
_MAX_LINE = 256


class ResponseReader:
    """One answer. ``feed`` what arrives, ``end`` when the peer closed."""

    __slots__ = (
        "_body",
        "_bounds",
        "_buffer",
        "_framing",
        "_heads",
        "_left",
        "_searched",
        "_state",
    )

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._state = _State.HEAD
        self._buffer = bytearray()
        self._searched = 0
        self._body = bytearray()
        self._left = 0
        self._heads = 0
        self._framing = 0

    def feed(self, data: bytes) -> bytes | None:
        """The body once it is whole; bytes behind it are ignored. Raises AnswerError."""
        self._buffer += data
        while True:
            state = self._state
            if state is _State.HEAD:
                if not self._head():
                    return None
            elif state is _State.LENGTH or state is _State.CHUNK_DATA:
                self._take(self._left)
                if self._left:
                    return None
                if state is _State.LENGTH:
                    return bytes(self._body)
                self._state = _State.CHUNK_END
            elif state is _State.UNTIL_CLOSE:
                self._take(len(self._buffer))
                if len(self._body) > self._bounds.body:
                    self._too_large()
                return None
            else:
                line = self._line()
                if line is None:
                    return None
                if state is _State.CHUNK_SIZE:
                    self._chunk_size(line)
                elif state is _State.CHUNK_END:
                    if line:
                        _malformed()
                    self._state = _State.CHUNK_SIZE
                elif not line:
                    return bytes(self._body)

    def end(self) -> bytes:
        """The body of an answer that ends with the connection. Raises AnswerError where more was
        due.
        """
        if self._state is _State.UNTIL_CLOSE:
            return bytes(self._body)
        if self._state is _State.HEAD and not self._heads and not self._buffer:
            raise AnswerError(Failure.DISCONNECTED, "the agent closed the connection unanswered")
        raise AnswerError(Failure.DISCONNECTED, "the agent closed the connection inside its answer")

    def _take(self, size: int) -> None:
        """Moves up to ``size`` bytes from the buffer to the body."""
        part = self._buffer[:size]
        del self._buffer[:size]
        self._body += part
        self._left -= len(part)

    def _head(self) -> bool:
        """Whether a head was complete; a final one decides how the body is framed."""
        end = self._buffer.find(b"\r\n\r\n", self._searched)
        size = len(self._buffer) if end < 0 else end + 4
        if self._heads + size > self._bounds.head:
            raise AnswerError(Failure.TOO_LARGE, "the answer's headers are too large")
        if end < 0:
            if not b"HTTP/1.".startswith(self._buffer[:7]):
                _malformed()
            self._searched = max(0, size - 3)
            return False
        head = bytes(self._buffer[:end])
        del self._buffer[:size]
        self._searched = 0
        self._heads += size
        status_line, *lines = head.split(b"\r\n")
        matched = _STATUS_LINE.fullmatch(status_line)
        if matched is None:
            _malformed()
        status = int(matched[1])
        if status == 101:
            raise AnswerError(Failure.BAD_STATUS, "the agent answered with status 101")
        if status >= 200:
            self._frame(status, lines)
        return True

    def _frame(self, status: int, lines: list[bytes]) -> None:
        if 300 <= status < 400:
            raise AnswerError(Failure.REDIRECTED, f"the agent redirects (status {status})")
        if status != 200:
            raise AnswerError(Failure.BAD_STATUS, f"the agent answered with status {status}")
        lengths: set[bytes] = set()
        transfer: list[bytes] = []
        for line in lines:
            matched = _HEADER.fullmatch(line)
            if matched is None:
                _malformed()
            name, value = matched[1].lower(), matched[2].rstrip(b" \t").lower()
            if name == b"content-encoding" and value not in (b"", b"identity"):
                _encoded()
            elif name == b"content-length":
                lengths.add(value)
            elif name == b"transfer-encoding":
                transfer.append(value)
        if transfer:
            # Two framings in one answer is how bodies are smuggled (RFC 9112, 6.3).
            if lengths:
                _malformed()
            if transfer != [b"chunked"]:
                _encoded()
            self._state = _State.CHUNK_SIZE
        elif lengths:
            length = lengths.pop()
            if lengths or _LENGTH.fullmatch(length) is None:
                _malformed()
            self._left = int(length)
            if self._left > self._bounds.body:
                self._too_large()
            self._state = _State.LENGTH
        else:
            self._state = _State.UNTIL_CLOSE

    def _line(self) -> bytes | None:
        """The next framing line, None until it is whole."""
        end = self._buffer.find(b"\r\n", 0, _MAX_LINE + 2)
        if end < 0:
            if len(self._buffer) > _MAX_LINE:
                _malformed()
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._framing += end + 2
        if self._framing > self._bounds.framing:
            self._too_large()
        return line

    def _chunk_size(self, line: bytes) -> None:
        matched = _CHUNK.fullmatch(line)
        if matched is None:
            _malformed()
        self._left = int(matched[1], 16)
        if len(self._body) + self._left > self._bounds.body:
            self._too_large()
        self._state = _State.CHUNK_DATA if self._left else _State.TRAILER

    def _too_large(self) -> NoReturn:
        raise AnswerError(
            Failure.TOO_LARGE, f"the answer is larger than {self._bounds.body // 1024} KiB"
        )


def _malformed() -> NoReturn:
    raise AnswerError(Failure.BAD_BODY, "the answer is not valid HTTP/1.1")


def _encoded() -> NoReturn:
    raise AnswerError(Failure.ENCODED, "the answer is compressed, which was not asked for")
