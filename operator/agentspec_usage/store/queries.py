"""What can be asked of the store: sums over a period, by what they are charged to, and the calls.

Periods are half-open. A sum reads the kept sums of whole days and buckets, and calls only at edges
that lie within a bucket; the calls themselves are read where the kept sums say that there are some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Protocol, TypeVar

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.periods import LocalDay, Span
from agentspec_usage.pricing.focus.usage import DayUsage
from agentspec_usage.pricing.money import Money, amounts_left, by_currency

__all__ = [
    "AgentName",
    "DaySum",
    "LedgerPosition",
    "Position",
    "StoredCall",
    "StoredCalls",
    "UsageFilter",
    "UsageQueries",
    "UsageSum",
    "UsageSums",
]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which usage is meant; "" is any. ``model`` is the response model, ``user`` the end user."""

    span: Span
    namespace: str = ""
    agent_id: str = ""
    model: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True, order=True)
class AgentName:
    """How people name an agent."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Counts of calls, and how many items (records and aggregates) they were stored as."""

    counts: TokenCounts = ZERO
    items: int = 0
    costs: tuple[Money, ...] = ()
    """One amount for each currency."""
    priced: int = 0
    """Calls whose price is whole."""
    estimated: int = 0
    """Calls whose price is an estimate."""

    @property
    def unpriced(self) -> int:
        """Calls without a price, or with a part that has none."""
        return max(self.counts.calls - self.priced, 0)  # calls stop at the largest count

    @property
    def amounts(self) -> tuple[Money, ...]:
        """``costs`` as they are shown: without what was taken back."""
        calls = self.counts.calls
        return amounts_left(self.costs, priced=not calls or self.unpriced < calls)

    def __add__(self, other: UsageSum) -> UsageSum:
        return UsageSum(
            self.counts + other.counts,
            self.items + other.items,
            by_currency((*self.costs, *other.costs)),
            self.priced + other.priced,
            self.estimated + other.estimated,
        )


@dataclass(frozen=True, slots=True)
class UsageSums:
    """Every call of the period is in one agent's and in one model's sum, and in ``total``."""

    total: UsageSum = field(default_factory=UsageSum)
    by_agent: dict[AgentName, UsageSum] = field(default_factory=dict)
    by_model: dict[str, UsageSum] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DaySum:
    """A day of the zone that was asked for."""

    day: LocalDay
    sum: UsageSum


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a page ended: newest first by ``at`` (ms), then by ``item``."""

    at: int
    item: int


@dataclass(frozen=True, slots=True)
class StoredCall:
    """An item of the store. ``calls`` in its counts is more than one for an aggregate."""

    position: Position
    agent: AgentName
    provider: str
    model: str
    request_model: str
    operation: str
    service_tier: str
    region: str
    status: str
    counts: TokenCounts
    user: str
    session: str
    run: str
    team: str
    duration_ms: int | None
    call_id: str
    response_id: str
    cost: Money | None
    """None where there is no price."""


@dataclass(frozen=True, slots=True)
class StoredCalls:
    """A page, and how many items there are on all pages."""

    calls: Sequence[StoredCall]
    total: int


@dataclass(frozen=True, slots=True)
class LedgerPosition:
    """Where the ledger stood when something was read from it: its id, and its newest batch."""

    ledger: str
    batch: int


class UsageQueries(Protocol):
    """Reads; each sees one moment of the store."""

    async def sums(self, asked: UsageFilter) -> UsageSums:
        """The usage of a period, by agent and by model. ``user`` is not a dimension of sums."""
        ...

    async def days(self, asked: UsageFilter, zone: tzinfo) -> Sequence[DaySum]:
        """The usage of each day of ``zone`` that has any, ascending."""
        ...

    async def calls(
        self, asked: UsageFilter, limit: int, offset: int = 0, after: Position | None = None
    ) -> StoredCalls:
        """``limit`` items, newest first: those after ``after``, or all but the first ``offset``."""
        ...

    async def day_usage(
        self,
        asked: UsageFilter,
        use: Callable[[LedgerPosition, Iterator[Sequence[DayUsage]]], Result],
    ) -> Result:
        """What ``use`` makes of the usage of each UTC day of the span, which is of whole days.

        ``use`` runs in a thread of the store: a month may be more than fits into memory.
        """
        ...
