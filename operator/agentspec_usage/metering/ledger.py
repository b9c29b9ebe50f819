"""The ledger: where an instance counts its calls.

One lock, and under it only additions: rendering a snapshot copies the numbers under the lock and
builds values outside it, so that a scrape never makes a model call wait. The ledger counts upwards
for the life of the process and nothing resets it; whoever wants differences takes them from two
snapshots (``cursor``).

A call whose counts are not whole numbers within bounds is refused and counted as invalid, never
clamped into the totals: a wrong number is worse than a flagged absence. A series beyond the bound
counts in ``OTHER``; which one it is was decided at its first use and never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from threading import Lock

from agentspec_usage.metering.counts import COMPONENTS, MAX_COUNT, TokenCounts
from agentspec_usage.metering.names import showable_name
from agentspec_usage.metering.series import MAX_SERIES, OTHER, SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot

__all__ = ["Ledger"]

_ONLY_INTS = {int}
_CALLS = COMPONENTS.index("calls")
_UNMETERED = COMPONENTS.index("unmetered_calls")


class Ledger:
    """The cumulative usage of one instance. Thread-safe.

    ``started_at`` is the start of the counts, in ms.
    """

    def __init__(
        self, instance_id: str, started_at: int, observer: Observer = Observer.SDK
    ) -> None:
        self._observer = observer
        self.reset_after_fork(instance_id, started_at)

    def reset_after_fork(self, instance_id: str, started_at: int) -> None:
        """Begin anew in a forked child: another instance, nothing counted, a free lock.

        The parent may have held the lock at the fork; in the child nobody would ever release it.
        """
        self._lock = Lock()
        self._instance_id = instance_id
        self._started_at = started_at
        self._seq = 0
        self._invalid_calls = 0
        self._totals = [0] * len(COMPONENTS)
        self._series: dict[SeriesKey, list[int]] = {}

    def record(self, key: SeriesKey, counts: TokenCounts) -> bool:
        """Count one call (or ``counts.calls`` of them); whether it was valid and so was counted.

        ``TokenCounts`` carries whatever it was given; here is where it is checked.
        """
        values = counts.as_tuple()
        if set(map(type, values)) != _ONLY_INTS or min(values) < 0 or max(values) > MAX_COUNT:
            return self._refuse()
        calls = values[_CALLS] or max(values[_UNMETERED], 1)
        given = [(position, value) for position, value in enumerate(values) if value]
        self._add(key, given, calls - values[_CALLS])
        return True

    def record_parts(self, key: SeriesKey, parts: Mapping[int, int]) -> bool:
        """Count one call of which these components are said, ``calls`` among them, by their
        positions; whether they were valid. The same as ``record``, for those who say little.
        """
        for value in parts.values():
            if type(value) is not int or not 0 <= value <= MAX_COUNT:
                return self._refuse()
        self._add(key, parts.items())
        return True

    def _refuse(self) -> bool:
        with self._lock:
            self._invalid_calls += 1
        return False

    def _add(self, key: SeriesKey, parts: Iterable[tuple[int, int]], unsaid_calls: int = 0) -> None:
        with self._lock:
            series = self._series.get(key)
            if series is None:
                series = self._first_use(key)
            totals = self._totals
            for position, value in parts:
                series[position] += value
                totals[position] += value
            if unsaid_calls:
                series[_CALLS] += unsaid_calls
                totals[_CALLS] += unsaid_calls
            self._seq += 1

    def snapshot(self, now: int, *, final: bool = False) -> UsageSnapshot:
        """A copy of everything counted so far, at ``now`` (ms). Reading changes nothing."""
        with self._lock:
            series = [(key, tuple(values)) for key, values in self._series.items()]
            totals = tuple(self._totals)
            seq = self._seq
            invalid_calls = self._invalid_calls
        return UsageSnapshot(
            totals=_saturated(totals),
            rows=tuple(SeriesRow(key, _saturated(values)) for key, values in series),
            instance_id=self._instance_id,
            observer=self._observer,
            seq=seq,
            window_started_at=self._started_at,
            observed_at=now,
            final=final,
            invalid_calls=min(invalid_calls, MAX_COUNT),
        )

    def _first_use(self, key: SeriesKey) -> list[int]:
        """The counts of ``key`` under names that can be shown, or of ``OTHER`` past the bound."""
        shown = replace(
            key,
            provider=showable_name(key.provider),
            model=showable_name(key.model),
            operation=showable_name(key.operation),
            service_tier=showable_name(key.service_tier),
            region=showable_name(key.region),
        )
        if shown not in self._series and len(self._series) >= MAX_SERIES - 1:
            shown = OTHER
        return self._series.setdefault(shown, [0] * len(COMPONENTS))


def _saturated(values: tuple[int, ...]) -> TokenCounts:
    return TokenCounts(*[min(value, MAX_COUNT) for value in values])
