"""Pricing again what was charged: by the present prices, for usage that is stored already.

A charge is never changed. Where the present prices give another amount, a reversal takes the old
one back and another charge is added, both in the period of the item while it is open, and as
corrections in the open one after that. Prices that give the same amount change nothing, so doing it
twice does nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agentspec_usage.pricing.money import Money
from agentspec_usage.store.queries import Position, UsageFilter

__all__ = ["Repriced", "RepricingStore"]


@dataclass(frozen=True, slots=True)
class Repriced:
    """What became of some items. ``next`` is where to go on; None when all were looked at.

    ``differences`` is what the changed ones cost more, or less, in each currency.
    """

    seen: int = 0
    changed: int = 0
    differences: tuple[Money, ...] = ()
    next: Position | None = None


class RepricingStore(Protocol):
    """A store whose charges can be made again."""

    async def reprice(
        self,
        asked: UsageFilter,
        now: int,
        *,
        after: Position | None = None,
        limit: int = 2000,
        dry: bool = False,
    ) -> Repriced:
        """Price the next ``limit`` items of ``asked`` again, in one transaction. ``dry`` only
        tells what would change."""
        ...
