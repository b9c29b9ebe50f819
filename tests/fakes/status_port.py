"""An API server as far as status writes go: versions, uids, latency, and every way of refusing."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from agentspec_usage.kube.status_write import WriteResult

__all__ = ["FakeStatusPort", "result"]


def result(kind: Any, retry_after: float | None = None) -> WriteResult:
    """A refusal of that kind."""
    return WriteResult(kind, None, retry_after, f"the API server says {kind}")


class FakeStatusPort:
    """Takes statuses; remembers when it was asked by whom and what it stored.

    ``answers`` of a uid come first, one each. ``down`` fails everything.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.stored: dict[str, Mapping[str, Any]] = {}
        self.asked: list[tuple[float, str]] = []
        self.answers: dict[str, deque[WriteResult]] = {}
        self.down = False
        self.under_way: Counter[str] = Counter()
        self.most_at_once = 0

    def answer(self, uid: str, *results: WriteResult) -> None:
        """The next answers for ``uid``."""
        self.answers.setdefault(uid, deque()).extend(results)

    def times(self, uid: str) -> list[float]:
        """When a write of ``uid`` was asked for."""
        return [at for at, asked in self.asked if asked == uid]

    async def patch_status(
        self, namespace: str, name: str, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> WriteResult:
        self.asked.append((asyncio.get_running_loop().time(), uid))
        assert not self.under_way[uid], f"two writes of {uid} at once"
        self.under_way[uid] += 1
        self.most_at_once = max(self.most_at_once, self.under_way.total())
        try:
            if self.seconds:
                await asyncio.sleep(self.seconds)
        finally:
            self.under_way[uid] -= 1
        if self.down:
            return result("failed")
        if self.answers.get(uid):
            return self.answers[uid].popleft()
        self.stored[uid] = status
        metadata = {"uid": uid, "resourceVersion": str(len(self.asked))}
        return WriteResult("written", {"metadata": metadata, "status": status}, None)
