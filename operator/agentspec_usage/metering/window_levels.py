"""What a source without instance ids used, as one level: AgentSpec's windows, added up.

The operator's rule (``windows``) in the form in which usage is charged, by series: of each window
the component-wise maximum counts, windows add, the newest ``MAX_OPEN_WINDOWS`` stay open to late
readings. The sum only grows, so a source of this kind has a tail like an instance of which no frame
ever comes, and all that it is charged is an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic

from agentspec_usage.metering.level import Key, Level
from agentspec_usage.metering.models import MAX_MODELS
from agentspec_usage.metering.windows import MAX_OPEN_WINDOWS

__all__ = ["WindowLevels"]


@dataclass(frozen=True, slots=True)
class WindowLevels(Generic[Key]):
    """The windows of one source. ``open`` is keyed by their start (ms), None for a sender that
    does not name it; ``retired`` is the sum of those that started until ``retired_until``."""

    open: Mapping[int | None, Level[Key]] = field(default_factory=dict)
    retired: Level[Key] = field(default_factory=Level)
    retired_until: int | None = None

    def advance(self, start: int | None, seen: Level[Key]) -> WindowLevels[Key]:
        """After the window that began at ``start`` was seen; itself when that tells nothing new."""
        known = self.open.get(start)
        if known is None:
            if not seen or self._is_over(start):
                return self
            known = Level()
        elif known.covers(seen):
            return self
        return WindowLevels(
            {**self.open, start: _bounded(known.join(seen))}, self.retired, self.retired_until
        )._retiring()

    def used(self) -> Level[Key]:
        """The sum over all windows."""
        used = self.retired
        for level in self.open.values():
            used += level
        return _bounded(used)

    def _is_over(self, start: int | None) -> bool:
        return start is not None and self.retired_until is not None and start <= self.retired_until

    def _retiring(self) -> WindowLevels[Key]:
        starts = sorted(start for start in self.open if start is not None)
        over = starts[:-MAX_OPEN_WINDOWS]
        if not over:
            return self
        retired = self.retired
        for start in over:
            retired += self.open[start]
        windows = {start: level for start, level in self.open.items() if start not in over}
        return WindowLevels(windows, _bounded(retired), over[-1])


def _bounded(level: Level[Key]) -> Level[Key]:
    """With the most used cells alone: what the others had is in the totals, without a series."""
    if len(level.cells) <= MAX_MODELS:
        return level
    order = sorted(level.cells, key=lambda key: level.cells[key].total, reverse=True)
    return Level(level.totals, {key: level.cells[key] for key in order[:MAX_MODELS]})
