"""Reads past JSON that comes in pieces without keeping it, at the speed of C.

A response of 100 MB is an image or embeddings with a usage object behind them. It must neither be
held nor parsed, so this scanner knows just enough JSON to tell where a value ends: strings, escapes
and brackets. What stands between is skipped by C: a long string by ``bytes.find``, a small
container by one regular expression, a large one by ``brackets``. What is skipped is hardly checked:
no usage stands in it.

The methods are generators that yield where they need bytes which have not come, so a grammar on
top of them reads like one over a whole document. Quantifiers are possessive: nothing backtracks,
and the time is linear in the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.framing.brackets import read_brackets
from agentspec_usage.extraction.framing.json_value import read_json

__all__ = ["ARRAY", "COLON", "COMMA", "END_ARRAY", "END_OBJECT", "OBJECT", "QUOTE"]
__all__ += ["JsonScanner", "Sink", "Steps"]

OBJECT, END_OBJECT, ARRAY, END_ARRAY, QUOTE, COLON, COMMA = b'{}[]":,'

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]
"""What yields where it needs more bytes, and returns a T when it has read enough."""
Sink: TypeAlias = Callable[[bytes], None]

_KEY_BYTES = 256
"""The longest key that is read; a longer one is nobody's wanted member."""

_SPACE = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(rb"[-+.0-9A-Za-z]*+")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_FLAT = rb'[^"{}\[\]\\]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]\\]*+)*+'
"""Everything up to the next bracket outside a string, or to a string whose end has not come."""


def _with_containers(depth: int) -> bytes:
    """Also past containers that are at hand whole and nest no deeper than ``depth``."""
    if depth == 0:
        return _FLAT
    inner = _with_containers(depth - 1)
    return _FLAT + rb"(?:[{\[]" + inner + rb"[}\]]" + _FLAT + rb")*+"


_DEPTH = 3
"""What a failed match had read is read again, at most once for each level: this bounds it too."""
_INSIDE = re.compile(_with_containers(_DEPTH), re.DOTALL)
_FEW = 32
"""Matches after which a container counts as large."""
_BLOCK = 16 << 10
"""What of a large container is read at once: as much as comes from a socket."""
_SMALL_BLOCK = 128
"""Below which nothing is gained by reading a block at once."""


def _past(pattern: re.Pattern[bytes], data: bytes, position: int) -> int:
    match = pattern.match(data, position)
    return match.end() if match else position


class JsonScanner:
    """A position in bytes that come in pieces. Methods raise WireError where it is no JSON."""

    __slots__ = ("_kept_from", "_sink", "data", "position")

    def __init__(self) -> None:
        self.data = b""
        self.position = 0
        self._sink: Sink | None = None
        self._kept_from = 0

    def give(self, data: bytes) -> None:
        """More bytes, to be followed by resuming the generator that waits for them."""
        rest = self.data[self.position :]
        self.data = rest + data if rest else data
        self.position = 0

    def peek(self) -> Steps[int]:
        """The next byte that is no white space; it stays to be read."""
        while True:
            self.position = _past(_SPACE, self.data, self.position)
            if self.position < len(self.data):
                return self.data[self.position]
            yield from self._more()

    def expect(self, byte: int) -> Steps[None]:
        """Read past ``byte``, which must come next."""
        if (yield from self.peek()) != byte:
            raise WireError("", repr(chr(byte)))
        self.position += 1

    def key(self) -> Steps[str | None]:
        """A member's key and the colon behind it; None for a key that is too long to matter."""
        if (yield from self.peek()) != QUOTE:
            raise WireError("", "a key")
        while (match := _STRING.match(self.data, self.position)) is None:
            if len(self.data) - self.position > _KEY_BYTES:
                break
            yield from self._more()
        if match is None or match.end() - self.position > _KEY_BYTES:
            key = None
            yield from self._string()
        else:
            key = str(read_json(match[0])) if b"\\" in match[0] else _plain(match[0])
            self.position = match.end()
        yield from self.expect(COLON)
        return key

    def value(self, sink: Sink | None = None) -> Steps[None]:
        """Read past one value. ``sink`` gets its bytes, in pieces."""
        first = yield from self.peek()
        self._sink, self._kept_from = sink, self.position
        if first == QUOTE:
            yield from self._string()
        elif first in (OBJECT, ARRAY):
            yield from self._container()
        else:
            yield from self._scalar()
        self._drain()
        self._sink = None

    def _more(self) -> Steps[None]:
        self._drain()
        self._kept_from = 0
        yield

    def _drain(self) -> None:
        if self._sink is not None and self.position > self._kept_from:
            self._sink(self.data[self._kept_from : self.position])

    def _scalar(self) -> Steps[None]:
        empty = True
        while True:
            end = _past(_SCALAR, self.data, self.position)
            empty = empty and end == self.position
            self.position = end
            if end < len(self.data):
                break
            yield from self._more()
        if empty:
            raise WireError("", "a value")

    def _string(self) -> Steps[None]:
        self.position += 1
        yield from self._rest_of_string()

    def _rest_of_string(self) -> Steps[None]:
        while True:
            data, quote = self.data, self.data.find(b'"', self.position)
            end = len(data) if quote < 0 else quote
            if data.find(b"\\", self.position, end) >= 0:
                end = _past(_TEXT, data, self.position)
            self.position = end
            if end < len(data) and data[end] == QUOTE:
                self.position += 1
                return
            # Either nothing is left, or a backslash whose other half has not come.
            yield from self._more()

    def _container(self) -> Steps[None]:
        self.position += 1
        depth, matches, block = 1, 0, _BLOCK
        while depth:
            if self.position == len(self.data):
                yield from self._more()
            if matches > _FEW:
                read = read_brackets(self.data[self.position : self.position + block], depth)
                if read is not None:
                    self.position += read.length
                    depth = read.depth
                    block = min(block * 2, _BLOCK)
                    if read.in_string:
                        yield from self._rest_of_string()
                    continue
                if block > _SMALL_BLOCK:
                    block //= 2  # The end is near.
                    continue
            self.position = _past(_INSIDE, self.data, self.position)
            matches += 1
            if self.position < len(self.data):
                depth += yield from self._bracket()

    def _bracket(self) -> Steps[int]:
        """Read past a bracket, or a string whose end was not at hand: what it does to the depth."""
        byte = self.data[self.position]
        if byte == QUOTE:
            yield from self._string()
            return 0
        self.position += 1
        if byte in (OBJECT, ARRAY):
            return 1
        if byte in (END_OBJECT, END_ARRAY):
            return -1
        raise WireError("", "a backslash within a string")


def _plain(quoted: bytes) -> str:
    try:
        return quoted[1:-1].decode()
    except UnicodeDecodeError as error:
        raise WireError("", "a key in UTF-8") from error
