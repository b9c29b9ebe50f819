"""One worker's counts in a file that other workers can read at any moment.

The file is mapped into memory, so counting a call is a few stores and no system call, and what was
counted stays readable when the process is killed in the next instruction: the pages belong to the
file. Its size is fixed and reserved when it is made, because a store into a hole of a full disk
would kill the process.

.. code-block:: text

    magic 8s | generation Q | started at q | last call at q | seq Q | invalid calls Q | rows Q
    totals 15Q
    256 rows of: key length H, key (names and numbers, joined), counts 15Q

The writer makes ``generation`` odd while it writes; a reader that met an odd or a changed one reads
again. A worker that died (or was stopped) while writing leaves it odd: then what is there is taken,
which differs by parts of one call at most.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agentspec_usage.metering.counts import COMPONENTS, MAX_COUNT, TokenCounts
from agentspec_usage.metering.names import showable_name
from agentspec_usage.metering.series import MAX_SERIES, OTHER, SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot

__all__ = ["SIZE", "SharedCounts", "decode_counts", "read_file"]

_MAGIC = b"AGUSAGE1"
_HEAD = struct.Struct("<8sQqqQQQ")
_GENERATION = struct.Struct("<Q")
_GENERATION_AT = 8
_COUNTS = struct.Struct(f"<{len(COMPONENTS)}Q")
_KEY_LENGTH = struct.Struct("<H")
_KEY_SIZE = 704
"""Five names of at most 128 bytes, a flag, a number and what separates them."""
_ROW_SIZE = _KEY_SIZE + _COUNTS.size
_TOTALS_AT = _HEAD.size
_ROWS_AT = _TOTALS_AT + _COUNTS.size
_SEPARATOR = "\x1f"
SIZE = _ROWS_AT + MAX_SERIES * _ROW_SIZE

_TRIES = 10_000
"""A writer that was interrupted in its few stores gets its turn; a stopped one is given up."""


class SharedCounts:
    """The writer's side: one file, open for the life of the worker."""

    def __init__(self, descriptor: int, begin: UsageSnapshot) -> None:
        """Write ``begin`` into the file. Raises OSError where there is no room for it."""
        os.posix_fallocate(descriptor, 0, SIZE)
        self._map = mmap.mmap(descriptor, SIZE)
        self._rows: dict[SeriesKey, int] = {}
        self._started_at = begin.window_started_at or 0
        self._seq = begin.seq or 0
        self._invalid = begin.invalid_calls
        self._generation = 0
        for row in begin.rows:
            self._add(self._row_of(row.key), row.counts)
        self._add(_TOTALS_AT, begin.totals)
        self._write_head(begin.observed_at or 0)

    def count(self, key: SeriesKey, counts: TokenCounts, seq: int, at: int) -> None:
        """One call more."""
        self._seq = seq
        self._mark()
        self._add(self._row_of(key), counts)
        self._add(_TOTALS_AT, counts)
        self._write_head(at)

    def invalid(self, calls: int, at: int) -> None:
        """How many calls were refused so far."""
        self._invalid = calls
        self._mark()
        self._write_head(at)

    def close(self) -> None:
        """Unmap the file; what was counted stays in it."""
        self._map.close()

    def _mark(self) -> None:
        """Make the generation odd: what follows is being written."""
        self._generation += 1
        _GENERATION.pack_into(self._map, _GENERATION_AT, self._generation)

    def _write_head(self, at: int) -> None:
        """Write the head, its generation still odd, and then make it even."""
        self._generation |= 1
        head = (self._generation, self._started_at, at, self._seq, self._invalid, len(self._rows))
        _HEAD.pack_into(self._map, 0, _MAGIC, *head)
        self._generation += 1
        _GENERATION.pack_into(self._map, _GENERATION_AT, self._generation)

    def _add(self, offset: int, counts: TokenCounts) -> None:
        known = _COUNTS.unpack_from(self._map, offset)
        sums = [min(a + b, MAX_COUNT) for a, b in zip(known, counts.as_tuple(), strict=True)]
        _COUNTS.pack_into(self._map, offset, *sums)

    def _row_of(self, key: SeriesKey) -> int:
        """Where the counts of ``key`` stand; the same bound and names as in the ledger."""
        row = self._rows.get(key)
        if row is None:
            shown = _showable(key)
            if shown != key:
                return self._row_of(shown)
            if len(self._rows) >= MAX_SERIES - 1 and key != OTHER:
                return self._row_of(OTHER)
            row = self._rows[key] = _ROWS_AT + len(self._rows) * _ROW_SIZE
            text = _key_text(key)
            _KEY_LENGTH.pack_into(self._map, row, len(text))
            start = row + _KEY_LENGTH.size
            self._map[start : start + len(text)] = text
        return row + _KEY_SIZE


def _showable(key: SeriesKey) -> SeriesKey:
    return SeriesKey(
        showable_name(key.provider),
        showable_name(key.model),
        showable_name(key.operation),
        showable_name(key.service_tier),
        showable_name(key.region),
        key.batch,
        key.context_class,
    )


def _key_text(key: SeriesKey) -> bytes:
    # No name that is showable has the separator in it: it does not print.
    names = (key.provider, key.model, key.operation, key.service_tier, key.region)
    return _SEPARATOR.join((*names, str(int(key.batch)), str(key.context_class))).encode()


def read_file(path: Path, descriptor: int, *, lives: bool) -> UsageSnapshot | None:
    """The counts in the file; None if it is not one of ours. Its name is the instance."""
    body = b""
    for _ in range(_TRIES if lives else 1):
        before = os.pread(descriptor, _GENERATION.size, _GENERATION_AT)
        body = os.pread(descriptor, SIZE, 0)
        after = os.pread(descriptor, _GENERATION.size, _GENERATION_AT)
        if before == after and not (before and before[0] & 1):
            break
        os.sched_yield()
    return decode_counts(path.stem, body)


def decode_counts(instance_id: str, body: bytes) -> UsageSnapshot | None:
    """The snapshot that the bytes of a whole file say."""
    if len(body) != SIZE or not body.startswith(_MAGIC):
        return None
    _, _, started_at, last_at, seq, invalid, rows = _HEAD.unpack_from(body)
    if rows > MAX_SERIES:
        return None
    offsets = range(_ROWS_AT, _ROWS_AT + rows * _ROW_SIZE, _ROW_SIZE)
    totals = TokenCounts(*_COUNTS.unpack_from(body, _TOTALS_AT))
    return UsageSnapshot(
        totals=totals,
        rows=_within(totals, [_row(body, offset) for offset in offsets]),
        instance_id=instance_id,
        observer=Observer.SDK,
        seq=seq,
        window_started_at=started_at,
        observed_at=last_at,
        invalid_calls=invalid,
    )


def _row(body: bytes, offset: int) -> SeriesRow:
    (length,) = _KEY_LENGTH.unpack_from(body, offset)
    start = offset + _KEY_LENGTH.size
    names = body[start : start + length].decode(errors="replace").split(_SEPARATOR)
    provider, model, operation, tier, region, batch, size = names
    key = SeriesKey(provider, model, operation, tier, region, batch == "1", int(size))
    return SeriesRow(key, TokenCounts(*_COUNTS.unpack_from(body, offset + _KEY_SIZE)))


def _within(totals: TokenCounts, rows: Sequence[SeriesRow]) -> tuple[SeriesRow, ...]:
    """The rows, none beyond what is left of the totals: a writer may have died between the two."""
    left, kept = totals, []
    for row in rows:
        counts = row.counts.meet(left)
        left = left.increase_since(counts)
        kept.append(replace(row, counts=counts))
    return tuple(kept)
