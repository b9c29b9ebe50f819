"""Periods of time: half-open, in a zone that is named, cut where sums were kept.

Sums are kept by 15-minute bucket and by UTC day. A period takes whole days where it has them,
buckets up to its edges, and single calls in the part of a bucket that is left; every offset of a
zone is a multiple of 15 minutes, so a local day or month never needs the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.frame import BUCKET_MS

__all__ = ["DAY_MS", "LocalDay", "Pieces", "Span", "day_at", "local_days", "month_at", "pieces_of"]

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Span:
    """``[start, end)``, ms since the epoch, UTC; empty when they are equal."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise UsageError(f"a period from {self.start} to {self.end}: expected start <= end")

    def __bool__(self) -> bool:
        return self.start < self.end

    def meet(self, other: Span) -> Span:
        """What both have; an empty span where they have nothing in common."""
        start = max(self.start, other.start)
        return Span(start, max(start, min(self.end, other.end)))


@dataclass(frozen=True, slots=True)
class Pieces:
    """A span in pieces that do not overlap: single calls, buckets and days."""

    calls: tuple[Span, ...]
    buckets: tuple[Span, ...]
    days: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class LocalDay:
    """A day of a zone: 23, 24 or 25 hours, or whatever its rules say."""

    day: date
    span: Span


def pieces_of(span: Span) -> Pieces:
    """The coarsest pieces that make up ``span`` exactly."""
    calls, buckets = _split(span, BUCKET_MS)
    edges, days = _split(buckets, DAY_MS)
    return Pieces(calls, edges, (days,) if days else ())


def local_days(span: Span, zone: tzinfo) -> Iterator[LocalDay]:
    """The days of ``zone`` that ``span`` touches, in order, each cut to ``span``."""
    if not span:
        return
    day = datetime.fromtimestamp(span.start / 1000, tz=zone).date()
    while True:
        next_day = day + timedelta(days=1)
        whole = Span(midnight(day, zone), midnight(next_day, zone))
        if whole.start >= span.end:
            return
        if cut := whole.meet(span):
            yield LocalDay(day, cut)
        day = next_day


def day_at(moment: int, zone: tzinfo) -> Span:
    """The day of ``zone`` that ``moment`` (ms) is in."""
    day = datetime.fromtimestamp(moment / 1000, tz=zone).date()
    return Span(midnight(day, zone), midnight(day + timedelta(days=1), zone))


def month_at(moment: int, zone: tzinfo) -> Span:
    """The month of ``zone`` that ``moment`` (ms) is in."""
    first = datetime.fromtimestamp(moment / 1000, tz=zone).date().replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    return Span(midnight(first, zone), midnight(following, zone))


def _split(span: Span, grain: int) -> tuple[tuple[Span, ...], Span]:
    """What is left over at the edges of ``span``, and its middle on the grain."""
    first = -(-span.start // grain) * grain
    last = span.end - span.end % grain
    if first > last:
        return ((span,) if span else ()), Span(span.start, span.start)
    edges = (Span(span.start, first), Span(last, span.end))
    return tuple(edge for edge in edges if edge), Span(first, last)


def midnight(day: date, zone: tzinfo) -> int:
    """When ``day`` begins in ``zone``: where midnight is skipped, when the clocks jump over it."""
    moment = datetime.combine(day, time(), tzinfo=zone)
    delta = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86400 + delta.seconds) * 1000
