"""A model's prices over time: stretches of days, and within a day stretches of hours.

The catalogue states prices as conditions on a moment ("from this date", "between these times").
Asked once in the middle of each stretch between two of their edges, the conditions become a table
that is looked up by bisection.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Generic, TypeVar

from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    PriceVariant,
    StartDateConstraint,
    TimeOfDateConstraint,
)

__all__ = ["PriceSchedule", "schedule_of"]

_DAY = 86_400_000

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class PriceSchedule(Generic[T]):
    """``days`` and ``hours`` are where stretches begin: ms since the epoch, ms of the UTC day.

    ``entries`` has a row for each stretch of days, with an entry for each of hours.
    """

    days: tuple[int, ...]
    hours: tuple[int, ...]
    entries: tuple[tuple[T, ...], ...]

    def at(self, moment: int) -> T:
        """The entry in force at ``moment`` (ms, UTC); before the first day, the first."""
        row = self.entries[max(bisect_right(self.days, moment) - 1, 0)]
        if len(row) == 1:
            return row[0]
        return row[bisect_right(self.hours, moment % _DAY) - 1]

    def map(self, change: Callable[[T], U]) -> PriceSchedule[U]:
        """The schedule with every entry changed."""
        entries = tuple(tuple(change(entry) for entry in row) for row in self.entries)
        return PriceSchedule(self.days, self.hours, entries)


def schedule_of(model: ModelInfo, ask: Callable[[datetime], T]) -> PriceSchedule[T]:
    """What ``ask`` says for each stretch between two edges of the model's conditions."""
    days, hours = {0}, {0}
    for constraint in _constraints(model):
        if isinstance(constraint, TimeOfDateConstraint):
            hours.update((_of_day(constraint.start_time), _of_day(constraint.end_time)))
        elif constraint is not None:
            days.add(max(_of_date(constraint.start_date), 0))
    edges = tuple(sorted(days)), tuple(sorted(hours))
    entries = tuple(
        tuple(ask(datetime.fromtimestamp((day + hour) / 1000, UTC)) for hour in edges[1])
        for day in edges[0]
    )
    return PriceSchedule(*edges, entries)


def _constraints(
    model: ModelInfo,
) -> Iterable[StartDateConstraint | TimeOfDateConstraint | None]:
    conditional: list[ConditionalPrice | PriceVariant] = list(model.price_variants or ())
    if isinstance(model.prices, list):
        conditional.extend(model.prices)
    return [entry.constraint for entry in conditional]


def _of_date(day: date) -> int:
    moment = datetime.combine(day, time(), UTC)
    return int(moment.timestamp()) * 1000


def _of_day(moment: time) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    utc = datetime.combine(date(1970, 1, 2), aware).astimezone(UTC)
    return ((utc.hour * 60 + utc.minute) * 60 + utc.second) * 1000 + utc.microsecond // 1000
