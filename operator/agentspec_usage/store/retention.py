"""Dropping old rows by policy: single calls leave, sums and proof stay.

Only rows of closed periods are dropped, from the beginning of the journal on. What a month was
charged, by day, agent, model and price, is in sums that stay for ever; what leaves is who made
which call when. A row that something may still refer to stays: an estimate that still stands (calls
that are delivered late take it back), and whatever is corrected by a row that stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agentspec_usage.store.errors import StoreError
from agentspec_usage.store.proof.checkpoints import Checkpoint, SignedCheckpoint

__all__ = ["PrunedError", "PruningPlan", "RetentionStore", "Seal"]


class PrunedError(StoreError):
    """What was asked needs rows that were dropped."""


class Seal(Protocol):
    """Signs what is left (``store.proof.signing``)."""

    @property
    def key_id(self) -> str: ...

    def signed(self, checkpoint: Checkpoint) -> SignedCheckpoint: ...


@dataclass(frozen=True, slots=True)
class PruningPlan:
    """What may be dropped: the batches up to ``batch``, all of whose rows are of before ``until``
    (ms, the end of a closed period). ``rows`` is how many they have; some of them may stay.

    ``sums`` is the hash of all sums kept by time before ``until``.
    """

    until: int = 0
    batch: int = 0
    rows: int = 0
    sums: bytes = b""


class RetentionStore(Protocol):
    """A store that can let go of old rows."""

    async def plan_pruning(self, before: int) -> PruningPlan:
        """What may be dropped of the rows before ``before`` (ms). Raises ``StoreError`` when the
        sums that would stay are not those of the rows."""
        ...

    async def prune(self, plan: PruningPlan, seal: Seal | None, now: int, limit: int) -> int | None:
        """Drop the next batches of the plan, about ``limit`` rows, in one transaction: how many
        rows were dropped; None when all of the plan is done."""
        ...
