"""What waits to be sent for the first time, within bounds and with nothing dropped.

Calls wait as records, in the order of their seqs. When there are more than a process should hold,
the oldest are merged: into one aggregate per series and 15-minute bucket, which loses names and
keeps every number that a price depends on. When even those are too many, no new bucket opens, and
the numbers are whole but coarse in time.

Aggregates are made in *blocks*: a block covers a contiguous stretch of calls and fits into a frame,
because a frame can only be cut where every item lies on one side. Only what was never sent is here;
``Outbox`` keeps what was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts, sum_counts
from agentspec_usage.metering.frame import MAX_FRAME_ITEMS, Aggregate, Item, bucket_of
from agentspec_usage.metering.outbox_state import EMPTY_BUFFER, BlockState, BufferState
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.record_bounds import (
    MAX_REQUEST_KIND_BYTES,
    MAX_REQUEST_KINDS,
    bounded_record,
)
from agentspec_usage.metering.series import MAX_SERIES, OTHER, SeriesKey

__all__ = ["BufferLimits", "Stretch", "UnsentBuffer", "weight_of"]


@dataclass(frozen=True, slots=True)
class BufferLimits:
    """How much may wait.

    ``records`` one by one (about 1 kB each), then ``aggregates`` (about 0.5 kB each). A frame has
    at most ``frame_items`` and ``frame_bytes``, an upper bound that leaves room in a body of 1 MiB.
    """

    records: int = 10_000
    aggregates: int = 50_000
    frame_items: int = MAX_FRAME_ITEMS
    frame_bytes: int = 768 * 1024


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one frame will carry: the calls ``(since, last]``, and the totals at ``last``."""

    since: int
    last: int
    totals: TokenCounts
    items: tuple[Item, ...]


class UnsentBuffer:
    """The unsent calls of one instance, after the call ``since``. Not thread-safe."""

    def __init__(
        self, limits: BufferLimits | None = None, state: BufferState = EMPTY_BUFFER
    ) -> None:
        self._limits = limits or BufferLimits()
        self._records = deque(state.records)
        self._blocks = deque(_block_of(block) for block in state.blocks)
        self._aggregates = sum(len(block.aggregates) for block in state.blocks)
        self._since = state.since
        self._totals_since = state.totals_since
        self._last = state.last
        self._merged = state.merged

    def state(self) -> BufferState:
        """Everything that waits, at this moment."""
        return BufferState(
            self._since,
            self._totals_since,
            self._last,
            self._merged,
            tuple(
                BlockState(block.last, block.coarse, tuple(block.aggregates.values()))
                for block in self._blocks
            ),
            tuple(self._records),
        )

    @property
    def last(self) -> int:
        """The seq of the newest call that was ever appended."""
        return self._last

    @property
    def merged(self) -> int:
        """Calls that were merged so far, over the buffer's life."""
        return self._merged

    def __len__(self) -> int:
        """Calls that wait."""
        return self._last - self._since

    @property
    def items(self) -> int:
        """Records and aggregates held: what the bounds bound."""
        return len(self._records) + self._aggregates

    def append(self, record: UsageRecord) -> None:
        """Add the call that follows the last one. Raises ``UsageError`` for any other."""
        if record.seq != self._last + 1:
            raise UsageError(f"record with seq {record.seq}: expected {self._last + 1}")
        self._records.append(bounded_record(record))
        self._last = record.seq
        if len(self._records) > self._limits.records:
            # A tenth at once: a call costs the same however long nobody answers.
            for _ in range(max(self._limits.records // 10, 1)):
                self._merge(self._records.popleft())

    def take(self) -> Stretch | None:
        """Remove the oldest calls that make one frame; None when none wait."""
        if self._blocks:
            block = self._blocks.popleft()
            self._aggregates -= len(block.aggregates)
            items: tuple[Item, ...] = tuple(block.aggregates.values())
            last = block.last
        elif self._records:
            items = tuple(self._oldest_records())
            last = self._since + len(items)
        else:
            return None
        totals = self._totals_since + sum_counts(item.counts for item in items)
        stretch = Stretch(self._since, last, totals, items)
        self._since, self._totals_since = last, totals
        return stretch

    def skip_to(self, last: int, totals: TokenCounts) -> None:
        """The calls up to ``last``, where the totals are ``totals``, were sent in an earlier life.

        What was taken for a frame once is taken whole: a frame ends where a block does.
        """
        while self._blocks and self._blocks[0].last <= last:
            self._aggregates -= len(self._blocks.popleft().aggregates)
        while self._records and self._records[0].seq <= last:
            self._records.popleft()
        self._since, self._totals_since = last, totals
        self._last = max(self._last, last)

    def _oldest_records(self) -> Iterable[UsageRecord]:
        room = self._limits.frame_bytes
        for _ in range(min(self._limits.frame_items, len(self._records))):
            weight = weight_of(self._records[0])
            if weight > room and room < self._limits.frame_bytes:
                return
            room -= weight
            yield self._records.popleft()

    def _merge(self, record: UsageRecord) -> None:
        before = len(self._blocks[-1].aggregates) if self._blocks else 0
        block = self._block_for(record)
        if block is not (self._blocks[-1] if self._blocks else None):
            self._blocks.append(block)
            before = 0
        block.add(record, self._limits)
        self._aggregates += len(block.aggregates) - before
        self._merged += 1

    def _block_for(self, record: UsageRecord) -> _Block:
        """The newest block, or a new one where the newest is full."""
        newest = self._blocks[-1] if self._blocks else None
        if newest is not None and newest.has(record):
            return newest
        if self._aggregates >= self._limits.aggregates:
            return newest if newest is not None and newest.coarse else _Block(coarse=True)
        if newest is None or newest.coarse or newest.is_full(self._limits):
            return _Block()
        return newest


@dataclass(slots=True)
class _Block:
    """Merged calls of a contiguous stretch that ends at ``last``.

    A ``coarse`` one keeps one aggregate per series, whatever the time, and the series beyond
    ``MAX_SERIES`` under ``OTHER``: it is bounded however long nobody takes it.
    """

    coarse: bool = False
    last: int = 0
    weight: int = 0
    aggregates: dict[tuple[SeriesKey, int], Aggregate] = field(default_factory=dict)

    def slot(self, record: UsageRecord, limits: BufferLimits) -> tuple[SeriesKey, int]:
        if not self.coarse:
            return record.key, bucket_of(record.at)
        room = len(self.aggregates) < MAX_SERIES - 1 and not self.is_full(limits)
        known = room or (record.key, 0) in self.aggregates
        return (record.key if known else OTHER), 0

    def has(self, record: UsageRecord) -> bool:
        return not self.coarse and (record.key, bucket_of(record.at)) in self.aggregates

    def is_full(self, limits: BufferLimits) -> bool:
        return len(self.aggregates) >= limits.frame_items or self.weight >= limits.frame_bytes // 2

    def add(self, record: UsageRecord, limits: BufferLimits) -> None:
        slot = self.slot(record, limits)
        known = self.aggregates.get(slot)
        merged = (
            _aggregate_of(record, slot[0])
            if known is None
            else _merged(known, record, coarse=self.coarse)
        )
        if known is None:
            self.weight += weight_of(merged)
        self.aggregates[slot] = merged
        self.last = record.seq


def _block_of(state: BlockState) -> _Block:
    slots = {(one.key, 0 if state.coarse else one.bucket): one for one in state.aggregates}
    return _Block(state.coarse, state.last, sum(map(weight_of, state.aggregates)), slots)


def _aggregate_of(record: UsageRecord, key: SeriesKey) -> Aggregate:
    aborted = record.status is CallStatus.ABORTED
    return Aggregate(
        record.seq,
        record.seq,
        bucket_of(record.at),
        key,
        record.counts,
        CallStatus.ABORTED if aborted else CallStatus.OK,
        record.requests,
    )


def _merged(aggregate: Aggregate, record: UsageRecord, *, coarse: bool) -> Aggregate:
    aborted = record.status is CallStatus.ABORTED
    return Aggregate(
        aggregate.from_seq,
        record.seq,
        aggregate.bucket,
        aggregate.key,
        aggregate.counts + record.counts,
        CallStatus.ABORTED if aborted else aggregate.status,
        _sum_requests(aggregate.requests, record.requests),
        aggregate.coarse or (coarse and bucket_of(record.at) != aggregate.bucket),
    )


def _sum_requests(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    if not other:
        return one
    summed = dict(one)
    for name, number in other.items():
        if name in summed or len(summed) < MAX_REQUEST_KINDS:
            summed[name] = min(summed.get(name, 0) + number, MAX_COUNT)
    return MappingProxyType(summed)


_FIELDS_WEIGHT = 900
"""Bytes of an item's field names, numbers and times on the wire, at most."""

_REQUEST_WEIGHT = 20 + 3 * MAX_REQUEST_KIND_BYTES


def weight_of(item: Item) -> int:
    """An upper bound of the item's bytes on the wire.

    Names are printable: a character of n bytes in UTF-8 takes at most 3 n of escaped ASCII; ``raw``
    is anything and takes at most 6 n. An aggregate is weighed with all the kinds of requests that
    later calls can add to it.
    """
    key = item.key
    texts = [key.provider, key.model, key.operation, key.service_tier, key.region]
    if isinstance(item, Aggregate):
        weight = _FIELDS_WEIGHT + MAX_REQUEST_KINDS * _REQUEST_WEIGHT
    else:
        context = item.context
        texts += [item.request_model, item.call_id, item.response_id]
        texts += [context.user, context.session, context.run, context.parent_run, context.team]
        texts += [*context.labels, *context.labels.values()]
        weight = _FIELDS_WEIGHT + len(item.requests) * _REQUEST_WEIGHT
        weight += 6 * (len(context.labels) + len(item.raw.encode(errors="replace")))
    return weight + 3 * sum(len(text.encode(errors="replace")) for text in texts)
