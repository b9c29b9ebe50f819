"""Delivery in a task, for programs on asyncio. Everything happens on one loop: there is no lock."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from agentspec_usage.delivery.http import AsyncPoster
from agentspec_usage.delivery.sender import Request, Sender, SenderStats
from agentspec_usage.runtime.clock import Clock

__all__ = ["TaskDelivery"]


class TaskDelivery:
    """``start`` it on a running loop, use the outboxes from that loop, ``stop`` it."""

    def __init__(self, sender: Sender, poster: AsyncPoster, clock: Clock) -> None:
        self._sender = sender
        self._poster = poster
        self._clock = clock
        self._woken = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def stats(self) -> SenderStats:
        return self._sender.stats

    def start(self) -> None:
        """Begin to send; a second start does nothing."""
        if self._task is None:
            self._stopping = False
            self._task = asyncio.create_task(self._run(), name="agentspec-usage-delivery")

    def wake(self) -> None:
        """Send now what there is, instead of at the interval."""
        self._woken.set()

    async def stop(self, grace: float) -> bool:
        """Say the end, and wait at most ``grace`` seconds until everything is durable.

        Whether it is. What is not, the outboxes still hold; nothing is sent any more.
        """
        task, self._task = self._task, None
        if task is not None:
            self._sender.finish()
            self._stopping = True
            self._woken.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(task, grace)
            await self._poster.close()
        return self._sender.settled

    async def _run(self) -> None:
        while not (self._stopping and self._sender.settled):
            self._woken.clear()
            action = self._sender.poll(self._clock.monotonic())
            if not isinstance(action, Request):
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), action)
                    self._sender.hurry()
                continue
            reply = await self._poster.post(action.body)
            self._sender.answered(action, reply, self._clock.monotonic())
