"""Periods that are charged: what a statement of one is made of, and when one is closed.

A closed period never changes. Its statement was written down when it was closed and is read again
as it was; what comes late is a correction in the period that is open then. So periods are closed in
their order and without a gap, and only after their end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agentspec_usage.metering.periods import Span
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.pricing.statement import Usage
from agentspec_usage.store.errors import StoreError
from agentspec_usage.store.proof.chain import Head

__all__ = [
    "DIMENSIONS",
    "PROVISIONAL",
    "WHEN_OVER",
    "ClosedPeriod",
    "ClosingRules",
    "Period",
    "PeriodError",
    "PeriodStatement",
    "PeriodStore",
    "closing_rules",
    "correction_of",
]

DIMENSIONS = ("namespace", "cost-center", "team", "agent", "model", "note")
"""To what a line of a statement is charged. ``note`` is "" for what was used in the period."""

PROVISIONAL = "provisional"
"""The note of what was used and is in no charge yet."""

_HOUR_MS = 60 * 60 * 1000


def correction_of(period: str) -> str:
    """The note of what came after its own period was closed; "" is an earlier one than any."""
    return f"correction of {period or 'an earlier period'}"


class PeriodError(StoreError):
    """The period cannot be closed: it is not over for long enough, or not the next one."""


@dataclass(frozen=True, slots=True)
class Period:
    """A span with the name that people give it, such as 2026-11, and the zone whose month it is."""

    name: str
    zone: str
    span: Span


@dataclass(frozen=True, slots=True)
class ClosingRules:
    """What whoever closes a period asks for beyond its being over and the next one.

    ``grace`` (ms) is how long after its end what is under way may still come; ``begin`` whether it
    may be the first one although there is usage before it, which then is in no closed period.
    """

    grace: int = 0
    begin: bool = True


WHEN_OVER = ClosingRules()
"""Nothing beyond that."""


def closing_rules(hours: float, *, early: bool, begin: bool) -> ClosingRules:
    """Of a program whose grace is so many hours, and what it was asked for on purpose."""
    return ClosingRules(0 if early else int(hours * _HOUR_MS), begin)


@dataclass(frozen=True, slots=True)
class ClosedPeriod:
    """``last_item`` is the newest item that was stored before it was closed; ``hash`` the SHA-256
    (hex) of the statement as it was written down."""

    period: Period
    closed_at: int
    last_item: int
    hash: str


@dataclass(frozen=True, slots=True)
class PeriodStatement:
    """The usage of a period by ``DIMENSIONS``. ``head`` is where the journal stood: what is signed
    there proves the lines. ``closed`` is None for a period that is open."""

    usage: Sequence[Usage]
    ledger: str
    head: Head
    closed: ClosedPeriod | None = None


class PeriodStore(Protocol):
    """A store that charges by period."""

    async def close_period(
        self, period: Period, now: int, rules: ClosingRules = WHEN_OVER
    ) -> ClosedPeriod:
        """Close ``period``, or say how it was closed. Raises ``PeriodError``."""
        ...

    async def closed_periods(self) -> Sequence[ClosedPeriod]:
        """Those that were closed, in their order."""
        ...

    async def statement(
        self, span: Span, now: int, namespace: str = "", agent_id: str = ""
    ) -> PeriodStatement:
        """What a statement of the period is made of, of one moment."""
        ...

    @property
    def book(self) -> PriceBook:
        """The present prices."""
        ...
