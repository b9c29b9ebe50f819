"""The task that hands in observations: it waits and posts, the sender decides."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from agentspec_usage.controller.observation_sender import ObservationSender
from agentspec_usage.delivery.sender import NoAnswer, Reply
from agentspec_usage.runtime.clock import Clock

__all__ = ["HandingIn", "ObservationPort"]


class ObservationPort(Protocol):
    """The control plane, as far as the operator hands in to it. Answers, also when nobody did."""

    async def post(self, body: bytes) -> Reply | NoAnswer: ...

    async def close(self) -> None: ...


class HandingIn:
    """``run`` is its worker."""

    def __init__(self, sender: ObservationSender, port: ObservationPort, clock: Clock) -> None:
        self.sender = sender
        self._port = port
        self._clock = clock
        self._turned = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            action = self.sender.poll(self._clock.monotonic())
            self._turned.set()
            if isinstance(action, float):
                await asyncio.sleep(action)
                continue
            reply = await self._port.post(action.body)
            self.sender.answered(action, reply, self._clock.monotonic())

    async def drained(self, seconds: float) -> None:
        """Return when nothing waits, or nobody takes it, at the latest after ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.sender.settled:
                    self._turned.clear()
                    await self._turned.wait()

    async def close(self) -> None:
        await self._port.close()
