"""Owners of objects whose tokens grow: what stands on the other side of a ``StatusWriter``."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

from agentspec_usage.controller.writer import (
    PreparedWrite,
    Priority,
    StatusWriter,
    WriteResult,
    WriterSettings,
)
from tests.fakes.status_port import FakeStatusPort
from tests.fakes.virtual_time import VirtualClock

__all__ = ["Fleet", "now"]


class Fleet:
    """A writer on a fake port, and who submits to it."""

    def __init__(self, port: FakeStatusPort, settings: WriterSettings | None = None) -> None:
        self.port = port
        self.writer = StatusWriter(port, VirtualClock(), settings)
        self.tokens: dict[str, int] = defaultdict(int)
        self.shown: dict[str, int] = {}
        self.results: dict[str, list[WriteResult]] = defaultdict(list)

    def use(self, *uids: str, tokens: int = 1, priority: Priority = Priority.TOKENS) -> None:
        for uid in uids:
            self.tokens[uid] += tokens
            self.submit(uid, priority)

    def submit(self, uid: str, priority: Priority = Priority.TOKENS) -> None:
        self.writer.submit(uid, priority, lambda: self._render(uid), lambda r: self._done(uid, r))

    def _render(self, uid: str) -> PreparedWrite | None:
        if self.shown.get(uid) == self.tokens[uid]:
            return None
        return PreparedWrite("ns", f"name-{uid}", uid, "1", {"tokens": self.tokens[uid]})

    def _done(self, uid: str, outcome: WriteResult) -> None:
        self.results[uid].append(outcome)
        if outcome.kind == "written" and outcome.object is not None:
            self.shown[uid] = outcome.object["status"]["tokens"]

    async def drive(self, *steps: float | Callable[[], object]) -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(self.writer.run(stop))
        for step in steps:
            if callable(step):
                step()
            else:
                await asyncio.sleep(step)
        stop.set()
        await running

    def kinds(self, uid: str) -> list[str]:
        return [outcome.kind for outcome in self.results[uid]]


def now() -> float:
    """The virtual second."""
    return asyncio.get_running_loop().time()
