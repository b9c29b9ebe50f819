"""Compact binary: varints, texts and columns of count vectors.

Numbers are LEB128 varints, so that small ones take a byte. Count vectors are written column by
column, and a column that is zero everywhere is not written: most agents use few of the fifteen
components, and equal columns compress well.

Reading trusts nothing: every length is checked against what is left, every number against its
bound.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import COMPONENTS, MAX_COUNT, ZERO, TokenCounts

__all__ = ["BinaryReader", "BinaryWriter"]

_HEX = re.compile("[0-9a-f]{32}")
_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TEXT_ID, _HEX_ID, _UUID_ID = range(3)


class BinaryWriter:
    """Appends to ``bytes``."""

    def __init__(self) -> None:
        self._out = bytearray()

    def __bytes__(self) -> bytes:
        return bytes(self._out)

    def number(self, value: int) -> None:
        out = self._out
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)

    def optional(self, value: int | None) -> None:
        self.number(0 if value is None else value + 1)

    def numbers(self, values: Sequence[int]) -> None:
        for value in values:
            self.number(value)

    def text(self, value: str) -> None:
        encoded = value.encode(errors="replace")
        self.number(len(encoded))
        self._out += encoded

    def ids(self, values: Sequence[str]) -> None:
        """Identities: 16 bytes for hex digits or a UUID, the text for anything else."""
        for value in values:
            if _HEX.fullmatch(value):
                self.number(_HEX_ID)
            else:
                self.number(_UUID_ID if _UUID.fullmatch(value) else _TEXT_ID)
        for value in values:
            if _HEX.fullmatch(value) or _UUID.fullmatch(value):
                self._out += bytes.fromhex(value.replace("-", ""))
            else:
                self.text(value)

    def vectors(self, vectors: Sequence[TokenCounts]) -> None:
        columns = list(zip(*(vector.as_tuple() for vector in vectors), strict=True))
        present = 0
        for position, column in enumerate(columns):
            if any(column):
                present |= 1 << position
        self.number(present)
        for position, column in enumerate(columns):
            if present >> position & 1:
                self.numbers(column)


class BinaryReader:
    """Takes from ``data``; raises ``WireError`` where it is not what was written."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, limit: int = MAX_COUNT) -> int:
        value = shift = 0
        while True:
            if self._at >= len(self._data) or shift > 56:
                raise WireError(self._path, "a number")
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        if value > limit:
            raise WireError(self._path, f"a number of at most {limit}")
        return value

    def optional(self) -> int | None:
        value = self.number(MAX_COUNT + 1)
        return value - 1 if value else None

    def numbers(self, count: int, limit: int = MAX_COUNT) -> list[int]:
        return [self.number(limit) for _ in range(count)]

    def length(self, limit: int) -> int:
        """How many entries follow."""
        return self.number(limit)

    def text(self, limit: int) -> str:
        taken = self._take(self.number(limit))
        try:
            return taken.decode()
        except UnicodeDecodeError:
            raise WireError(self._path, "UTF-8") from None

    def ids(self, count: int, limit: int) -> list[str]:
        found = []
        for kind in self.numbers(count, _UUID_ID):
            if kind == _TEXT_ID:
                found.append(self.text(limit))
                continue
            digits = self._take(16).hex()
            if kind == _UUID_ID:
                parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
                digits = "-".join(parts)
            found.append(digits)
        return found

    def vectors(self, count: int) -> list[TokenCounts]:
        present = self.number(2 ** len(COMPONENTS) - 1)
        nothing = [0] * count
        columns = [
            self.numbers(count) if present >> position & 1 else nothing
            for position in range(len(COMPONENTS))
        ]
        if not present:
            return [ZERO] * count
        return [TokenCounts(*row) for row in zip(*columns, strict=True)]

    def end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise WireError(self._path, "the end")

    @property
    def _path(self) -> str:
        return f"byte {self._at}"

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise WireError(self._path, f"{count} more bytes")
        self._at += count
        return taken
