"""Sleeping until something happens, or until it is time: what every loop of the operator waits by.

No task and no timer outlives a sleep: kopf cancels whatever task was created after it started, and
a timer for each sleep that was woken early would add up.
"""

from __future__ import annotations

import asyncio

__all__ = ["Wake"]


class Wake:
    """One sleeper, and anybody who wakes it. For one event loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the sleeper. A call while nobody sleeps is forgotten with the next ``sleep``."""
        self._event.set()

    async def sleep(self, seconds: float | None) -> None:
        """Until ``set`` is called, at the latest after ``seconds``; None has no latest."""
        self._event.clear()
        timer = None
        if seconds is not None:
            timer = asyncio.get_running_loop().call_later(seconds, self._event.set)
        try:
            await self._event.wait()
        finally:
            if timer is not None:
                timer.cancel()
