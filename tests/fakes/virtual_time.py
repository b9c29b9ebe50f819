"""An event loop whose time jumps to the next timer instead of waiting for it.

What takes minutes is tested in milliseconds, and to the exact second: between two timers no time
passes at all. A loop in which nothing is left that could ever happen fails at once, where a real
one would hang.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["VirtualClock", "VirtualTimeLoop", "run_in_virtual_time"]

_T = TypeVar("_T")

EPOCH_MS = 1_790_000_000_000


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("nothing is left that could happen: a real loop would hang")
            self.now += max(timeout, 0.0)
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The standard loop over a selector that jumps."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class VirtualClock:
    """The ``Clock`` that agrees with the running virtual loop."""

    def now(self) -> int:
        return EPOCH_MS + round(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def run_in_virtual_time(main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Runs ``main()`` to its end on a loop of its own; tasks that it leaves are cancelled."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())
