"""What an outbox holds, as a value: what a file keeps of it, so that it survives its process.

A frame that was sealed is kept as its bytes; of its items nothing is known any more, as with a
frame that was spooled.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.frame import Aggregate, SealedFrame
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.snapshot import Observer

__all__ = ["EMPTY_BUFFER", "BlockState", "BufferState", "OutboxState"]


@dataclass(frozen=True, slots=True)
class BlockState:
    """Merged calls of a contiguous stretch that ends at ``last``."""

    last: int
    coarse: bool
    aggregates: tuple[Aggregate, ...]


@dataclass(frozen=True, slots=True)
class BufferState:
    """The unsent calls after ``since``, where the totals are ``totals_since``."""

    since: int = 0
    totals_since: TokenCounts = ZERO
    last: int = 0
    merged: int = 0
    blocks: tuple[BlockState, ...] = ()
    records: tuple[UsageRecord, ...] = ()


EMPTY_BUFFER = BufferState()


@dataclass(frozen=True, slots=True)
class OutboxState:
    """Of one instance. ``sealed`` are consecutive frames that were sent, or are about to be."""

    instance_id: str
    observer: Observer
    durable: int = 0
    durable_totals: TokenCounts = ZERO
    sealed: tuple[SealedFrame, ...] = ()
    buffer: BufferState = EMPTY_BUFFER
    finishing: bool = False
    final_is_durable: bool = False
    rolled_back: bool = False
