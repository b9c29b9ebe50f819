"""What an object was charged, and how far it had counted then."""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.metering.checkpoint import AccruedCost, Checkpoint, totals
from agentspec_usage.status.charges import Charges, Growth, moved_on

__all__ = ["Charged", "Standing", "standing_of"]


@dataclass(frozen=True, slots=True)
class Standing:
    """A moment in an object's counting: ``tokens`` in this ``epoch``, which cost ``accrued`` by the
    operator's own estimate.
    """

    epoch: str
    tokens: int
    accrued: AccruedCost


@dataclass(frozen=True, slots=True)
class Charged:
    """What the control plane said, and the moment of which it is true."""

    charges: Charges
    standing: Standing

    def at(self, checkpoint: Checkpoint, now: int) -> Charges:
        """The charges with what ``checkpoint`` counts beyond the moment, at ``now`` (ms)."""
        return moved_on(self.charges, _growth(self.standing, standing_of(checkpoint)), now)


def standing_of(checkpoint: Checkpoint) -> Standing:
    return Standing(checkpoint.epoch, totals(checkpoint).total, checkpoint.cost)


def _growth(before: Standing, after: Standing) -> Growth:
    """Nothing between two epochs: the counts of one say nothing of the other's."""
    if before.epoch != after.epoch or after.tokens <= before.tokens:
        return Growth(0, AccruedCost())
    tokens = after.tokens - before.tokens
    then, now = before.accrued, after.accrued
    if then.currency not in ("", now.currency):
        return Growth(tokens, AccruedCost())
    priced = AccruedCost(
        now.currency, max(now.pico - then.pico, 0), max(now.tokens - then.tokens, 0)
    )
    return Growth(tokens, priced)
