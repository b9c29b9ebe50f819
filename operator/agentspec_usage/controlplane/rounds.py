"""Work beside the serving: round after round, until it is cancelled.

A fault of ours in one round is logged with its trace, and the next round tries again. The program
must not end for it, since agents are served all the same, and the work must not end silently
either: that nothing is signed any more would be noticed when the proof is needed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

__all__ = ["every"]

logger = logging.getLogger(__name__)


async def every(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> None:
    """A round of ``work`` after every ``seconds``, for ever."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:
            logger.exception("a round of work failed", extra={"work": name})
