"""Delivery in a thread, for programs without an event loop.

One daemon thread polls the sender, posts, and hands in what was answered. The lock is held for
decisions and never while posting, so that a call that is being recorded waits for no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

from agentspec_usage.delivery.http import Poster
from agentspec_usage.delivery.sender import Request, Sender, SenderStats
from agentspec_usage.runtime.clock import Clock

__all__ = ["ThreadedDelivery"]


class ThreadedDelivery:
    """``start`` it, use the outboxes inside ``held``, ``stop`` it. A forked child makes its own.

    ``gather`` is called, without the lock, before there is a look at what is to be sent.
    """

    def __init__(
        self,
        sender: Sender,
        poster: Poster,
        clock: Clock,
        *,
        gather: Callable[[], None] = lambda: None,
    ) -> None:
        self._sender = sender
        self._poster = poster
        self._clock = clock
        self._gather = gather
        self._lock = Lock()
        self._woken = Event()
        self._stopping = False
        self._deadline = 0.0
        self._thread: Thread | None = None

    @property
    def stats(self) -> SenderStats:
        with self._lock:
            return self._sender.stats

    @contextmanager
    def held(self) -> Iterator[Sender]:
        """The sender, and through it the outboxes, while nobody else touches them."""
        with self._lock:
            yield self._sender

    def start(self) -> None:
        """Begin to send; a second start does nothing."""
        if self._thread is None:
            self._stopping = False
            self._thread = Thread(target=self._run, name="agentspec-usage-delivery", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Send now what there is, instead of at the interval."""
        self._woken.set()

    def stop(self, grace: float) -> bool:
        """Say the end, and wait at most ``grace`` seconds until everything is durable.

        Whether it is. What is not, the outboxes still hold. A request that is under way then is
        not waited for: what it brings, a spool may bring once more.
        """
        thread = self._thread
        if thread is None:
            return self._settled()
        self._gather()
        with self._lock:
            self._sender.finish()
        self._deadline = self._clock.monotonic() + grace
        self._stopping = True
        self._woken.set()
        thread.join(grace)
        self._thread = None
        if not thread.is_alive():
            self._poster.close()
        return self._settled()

    def _settled(self) -> bool:
        with self._lock:
            return self._sender.settled

    def _run(self) -> None:
        while not self._is_over():
            self._woken.clear()
            self._gather()
            with self._lock:
                action = self._sender.poll(self._clock.monotonic())
            if not isinstance(action, Request):
                if self._woken.wait(self._within_grace(action)):
                    with self._lock:
                        self._sender.hurry()
                continue
            reply = self._poster.post(action.body)
            with self._lock:
                self._sender.answered(action, reply, self._clock.monotonic())

    def _is_over(self) -> bool:
        if not self._stopping:
            return False
        return self._settled() or self._clock.monotonic() >= self._deadline

    def _within_grace(self, seconds: float) -> float:
        if not self._stopping:
            return seconds
        return max(min(seconds, self._deadline - self._clock.monotonic()), 0.0)
