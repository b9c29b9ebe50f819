"""Work for a ``Scheduler`` that remembers its runs, and steps to drive one by."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable

from agentspec_usage.controller.scheduler import Scheduler

__all__ = ["Runs", "drive"]


class Runs:
    """A ``Work`` that takes ``seconds`` (or what ``behave`` does) and remembers when it ran for
    whom.
    """

    def __init__(
        self,
        seconds: float = 0.0,
        behave: Callable[[str], Awaitable[float | None]] | None = None,
    ) -> None:
        self.seconds = seconds
        self.behave = behave
        self.started: dict[str, list[float]] = defaultdict(list)
        self.order: list[str] = []
        self.now: Counter[str] = Counter()
        self.most_at_once = 0

    async def __call__(self, uid: str) -> float | None:
        assert not self.now[uid], f"{uid} overlaps itself"
        self.now[uid] += 1
        self.most_at_once = max(self.most_at_once, self.now.total())
        self.started[uid].append(asyncio.get_running_loop().time())
        self.order.append(uid)
        try:
            if self.seconds:
                await asyncio.sleep(self.seconds)
            return await self.behave(uid) if self.behave else None
        finally:
            self.now[uid] -= 1


async def drive(scheduler: Scheduler, *steps: float | Callable[[], None]) -> None:
    """Runs the scheduler while the steps pass: a number waits, a function acts."""
    stop = asyncio.Event()
    running = asyncio.create_task(scheduler.run(stop))
    for step in steps:
        if callable(step):
            step()
        else:
            await asyncio.sleep(step)
    stop.set()
    await running
