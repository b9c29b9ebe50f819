"""Waiting for a commit, but not for ever.

A request that goes away, or is answered before its commit, takes nothing back: the write goes on,
and its sender learns of it with the next answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from agentspec_usage.errors import AgentspecUsageError

__all__ = ["Commits"]

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Commits:
    """Writes under way, each waited for ``seconds`` at most."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._late: set[asyncio.Task[Any]] = set()

    @property
    def late(self) -> int:
        """Writes that were not committed when their request was answered, and still are not."""
        return len(self._late)

    async def wait(self, write: Coroutine[Any, Any, Result]) -> Result | None:
        """What ``write`` returns or raises; None when it is not committed by then."""
        task = asyncio.create_task(write)
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        done, _ = await asyncio.wait({task}, timeout=self._seconds)
        if done:
            return task.result()
        task.add_done_callback(_tell)
        return None


def _tell(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, AgentspecUsageError):
        logger.warning("a late write failed: its sender sends it again")
    elif error is not None:
        logger.error("a late write failed", exc_info=error)
