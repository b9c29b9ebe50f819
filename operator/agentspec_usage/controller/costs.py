"""Where the operator prices growth: right after it was observed, in the same step.

So a checkpoint never has counts without what they cost, whoever reads it from the status later goes
on from both, and a conflict throws both away together.
"""

from __future__ import annotations

from dataclasses import replace

from agentspec_usage.metering.checkpoint import Checkpoint, growth
from agentspec_usage.metering.snapshot import UsageReading
from agentspec_usage.pricing.accrual import accrued
from agentspec_usage.pricing.book import PriceBook

__all__ = ["Costs"]


class Costs:
    """Prices by one book."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book

    def added(
        self, before: Checkpoint, after: Checkpoint, at: int, reading: UsageReading | None = None
    ) -> Checkpoint:
        """``after`` with the cost of what it counts beyond ``before``, at the prices of ``at``.

        ``reading`` is what was observed between the two, where it was one.
        """
        if after is before:
            return after
        cost = accrued(after.cost, growth(before, after, reading), at, self._book)
        return after if cost == after.cost else replace(after, cost=cost)
