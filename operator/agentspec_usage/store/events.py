"""What a buffer of usage events needs of a store, and what is told of its flushes.

A portion of events becomes items by the same way as frames, so that money, sums and proof are the
same; beside them each event is a link of its session's chain, and the events of one session and run
that came together are a batch, which can be computed again from what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agentspec_usage.metering.event_sealing import EventFrame
from agentspec_usage.metering.usage_event import UsageEvent
from agentspec_usage.store.proof.event_batch import EventBatch

__all__ = ["CheckedBatch", "EventStore", "FlushedEvents"]


@dataclass(frozen=True, slots=True)
class CheckedBatch:
    """A batch as it was told, and what is wrong with it by now; "" when nothing is."""

    batch: EventBatch
    finding: str = ""


@dataclass(frozen=True, slots=True)
class FlushedEvents:
    """What became of a portion. ``rewound`` are agents with whom the store stands elsewhere: then
    nothing was written. A portion that was stored before makes no batch again.
    """

    batches: tuple[EventBatch, ...] = ()
    rewound: tuple[str, ...] = ()


class EventStore(Protocol):
    """Raises ``StoreRefusedError`` for what can never be stored, and else as ``IngestStore``."""

    async def flush_events(self, frames: Sequence[EventFrame], now: int) -> FlushedEvents:
        """Store the events in one transaction."""
        ...

    async def set_event_aside(self, event: UsageEvent, reason: str, now: int) -> None:
        """Keep an event that cannot be stored where it is in nobody's way."""
        ...

    async def event_batch(self, batch_id: str, agent_id: str = "") -> CheckedBatch | None:
        """The batch, read again and checked; None where ``agent_id``, if any, has none such."""
        ...
