"""Who listens to the audit as it happens, each behind a queue of its own that is bounded.

Publishing never waits: the publisher is in the path of model calls. A listener that is slower than
its queue is long is dropped, because one that misses entries in silence would be told a lie; it may
come again and begins with the ring.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

__all__ = ["MAX_LISTENERS", "QUEUE_LENGTH", "AuditFeed", "Listener"]

MAX_LISTENERS = 16
QUEUE_LENGTH = 256
"""Messages that wait for one listener: seconds of a busy agent."""


class Listener:
    """One who listens, from ``AuditFeed.listen`` to the end of ``messages``."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._waiting: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self.dropped = False
        """Whether it was too slow."""

    def offer(self, message: bytes) -> None:
        """Queue ``message``, or drop the listener."""
        if self._ended:
            return
        if len(self._waiting) >= self._length:
            self.dropped = True
            self.end()
            return
        self._waiting.append(message)
        self._changed.set()

    def end(self) -> None:
        """Nothing more comes. What waits is not sent: a listener that ends does not hold up."""
        self._ended = True
        self._waiting.clear()
        self._changed.set()

    async def messages(self, idle_seconds: float) -> AsyncIterator[bytes | None]:
        """The messages as they come; None after each ``idle_seconds`` without one."""
        while not self._ended:
            if self._waiting:
                yield self._waiting.popleft()
                continue
            self._changed.clear()
            try:
                async with asyncio.timeout(idle_seconds):
                    await self._changed.wait()
            except TimeoutError:
                yield None


class AuditFeed:
    """The listeners of one sidecar."""

    def __init__(self, max_listeners: int = MAX_LISTENERS, length: int = QUEUE_LENGTH) -> None:
        self._max_listeners = max_listeners
        self._length = length
        self._listeners: set[Listener] = set()
        self._closed = False
        self.dropped = 0
        """Listeners that were too slow."""

    def __len__(self) -> int:
        return len(self._listeners)

    def listen(self) -> Listener | None:
        """A new listener; None when there are too many, or the program ends."""
        if self._closed or len(self._listeners) >= self._max_listeners:
            return None
        listener = Listener(self._length)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        listener.end()
        self._listeners.discard(listener)

    def publish(self, render: Callable[[], bytes]) -> None:
        """Tell everybody. ``render`` makes the message, once, if there is anybody."""
        if not self._listeners:
            return
        message = render()
        for listener in list(self._listeners):
            listener.offer(message)
            if listener.dropped:
                self.dropped += 1
                self._listeners.discard(listener)

    def close(self) -> None:
        """End every listener, and take no more: what the program does before its server stops."""
        self._closed = True
        for listener in list(self._listeners):
            self.leave(listener)
