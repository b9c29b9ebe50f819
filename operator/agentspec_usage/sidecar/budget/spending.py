"""What was used in which window, as a value.

Several windows are remembered, not only the present one: a clock that steps into tomorrow and back
finds today's count as it was, and one that steps years ahead does not leave a window that never
ends. What a call used counts in the window in which it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.sidecar.budget.limits import Threshold

__all__ = ["MAX_WINDOWS", "NOTHING_SPENT", "Spending", "Spent"]

MAX_WINDOWS = 8


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and calls of one window, and which thresholds were announced in it."""

    tokens: int = 0
    requests: int = 0
    announced: frozenset[Threshold] = frozenset()

    def of(self, threshold: Threshold) -> int:
        """The number that ``threshold`` is about."""
        return self.tokens if threshold.is_of_tokens else self.requests


NOTHING_SPENT = Spent()


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent, by the start of the window (ms, UTC)."""

    windows: Mapping[int, Spent] = field(default_factory=lambda: MappingProxyType({}))

    def at(self, start: int) -> Spent:
        return self.windows.get(start, NOTHING_SPENT)

    def plus(self, start: int, tokens: int, requests: int) -> Spending:
        """More was used; saturating."""
        spent = self.at(start)
        return self._with(
            start,
            replace(
                spent,
                tokens=min(spent.tokens + tokens, MAX_COUNT),
                requests=min(spent.requests + requests, MAX_COUNT),
            ),
        )

    def announcing(self, start: int, threshold: Threshold) -> Spending:
        """``threshold`` is announced, and will not be again in its window."""
        spent = self.at(start)
        return self._with(start, replace(spent, announced=spent.announced | {threshold}))

    def _with(self, start: int, spent: Spent) -> Spending:
        windows = {**self.windows, start: spent}
        if len(windows) > MAX_WINDOWS:
            # The oldest, unless the clock says that it is now.
            del windows[min(other for other in windows if other != start)]
        return Spending(windows)
