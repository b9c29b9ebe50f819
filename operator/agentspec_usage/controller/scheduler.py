"""When each target is worked on: every interval, spread out, never twice at once.

One heap of due times serves every target, and a fixed number of workers takes what is due. A task
or a timer for each target would cost twenty times the memory and lose count of what runs.

Each target has a grid of slots, ``phase + k * interval``, where the phase is a hash of its uid: a
restart or a relist does not line the targets up. A slot that passed while the target was still
running, or while the workers were all busy, is skipped and not made up for; how late a run starts
is reported, because that is how saturation shows.

What is due and cannot start waits in a queue for each namespace, served in turn and capped, so that
one team's unreachable agents hold back that team alone.

The workers are started together and live as long as ``run``: kopf cancels every task that was
created after it started, so nothing here may create one later.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto

from agentspec_usage.controller.wake import Wake
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.runtime.ids import stable_fraction

__all__ = ["Scheduler", "SchedulerLimits", "Work"]

logger = logging.getLogger(__name__)

# The heap is looked at fifty times a second at most: at a thousand runs a second, twenty are then
# taken up at once, which halves what a run costs (measured: 66 to 33 microseconds).
_PATIENCE = 0.02

Work = Callable[[str], Awaitable[float | None]]
"""What is done for the target of a uid. None: again at its next slot. A number: again after so many
seconds.
"""


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """How much runs at once.

    ``concurrency``: runs in all; an unreachable agent holds one for the scrape's deadline.
    ``per_namespace``: of one namespace. ``error_backoff_cap``: seconds, the longest pause of a
    target whose work raises.
    """

    concurrency: int = 128
    per_namespace: int = 64
    error_backoff_cap: float = 300.0


class _State(Enum):
    IDLE = auto()
    """In the heap."""
    WAITING = auto()
    """Due, in its namespace's queue."""
    RUNNING = auto()


class _Target:
    __slots__ = (
        "again",
        "due",
        "errors",
        "interval",
        "namespace",
        "phase",
        "removed",
        "state",
        "ticket",
        "uid",
    )

    def __init__(self, uid: str, namespace: str, interval: float) -> None:
        self.uid = uid
        self.namespace = namespace
        self.state = _State.IDLE
        self.interval = interval
        self.phase = stable_fraction(uid) * interval
        self.due = 0.0
        self.ticket = 0
        self.again = False
        self.removed = False
        self.errors = 0

    def retime(self, interval: float) -> None:
        self.interval = interval
        self.phase = stable_fraction(self.uid) * interval

    def next_slot(self, now: float) -> float:
        """The first slot after ``now``."""
        # A run starts at its slot or later, yet rounding may put that slot just ahead of now:
        # within a millionth of the interval it has passed.
        passed = math.floor((now - self.phase) / self.interval + 1e-6)
        return self.phase + (passed + 1) * self.interval


class Scheduler:
    """Runs ``work`` for every target when it is due. All methods belong to the event loop's thread.

    ``on_late`` gets the seconds between due and start, of every run. ``on_error`` is told each time
    that ``work`` raised: the target goes on, later each time; the log has the first of a row.
    """

    def __init__(
        self,
        work: Work,
        clock: Clock,
        limits: SchedulerLimits | None = None,
        *,
        on_late: Callable[[float], None] = lambda _seconds: None,
        on_error: Callable[[], None] = lambda: None,
    ) -> None:
        self._work = work
        self._clock = clock
        self._limits = limits or SchedulerLimits()
        self._on_late = on_late
        self._on_error = on_error
        self._targets: dict[str, _Target] = {}
        # (due, ticket, target); an entry whose ticket is not its target's is void.
        self._heap: list[tuple[float, int, _Target]] = []
        self._tickets = 0
        self._present = 0
        self._waiting_total = 0
        self._waiting: dict[str, deque[_Target]] = {}
        self._turns: deque[str] = deque()
        self._in_turn: set[str] = set()
        self._running: dict[str, int] = {}
        self._running_total = 0
        self._assigned: asyncio.Queue[_Target | None] = asyncio.Queue()
        self._wake = Wake()
        self._stopping = False

    def __len__(self) -> int:
        return self._present

    def __contains__(self, uid: object) -> bool:
        target = self._targets.get(uid) if isinstance(uid, str) else None
        return target is not None and not target.removed

    @property
    def running(self) -> int:
        """Runs that were started and have not ended."""
        return self._running_total

    @property
    def waiting(self) -> int:
        """Targets that are due and wait for a worker or for their namespace's turn."""
        return self._waiting_total

    def add(self, uid: str, namespace: str, interval: float) -> None:
        """Takes a target on, due at its next slot; ``interval`` in seconds. A known one: update."""
        target = self._targets.get(uid)
        if target is None:
            target = self._targets[uid] = _Target(uid, namespace, interval)
            self._present += 1
            self._push(target, target.next_slot(self._clock.monotonic()))
            return
        # Removed while it was running and here again: the old run must end before the next begins.
        if target.removed:
            target.removed = False
            target.again = target.state is _State.RUNNING
            self._present += 1
        self.update(uid, interval)

    def update(self, uid: str, interval: float) -> None:
        """Changes a target's interval; its next slot is the first of the new grid. Unknown uids are
        ignored.
        """
        target = self._targets.get(uid)
        if target is None or target.removed or target.interval == interval:
            return
        target.retime(interval)
        if target.state is _State.IDLE:
            self._push(target, target.next_slot(self._clock.monotonic()))

    def remove(self, uid: str) -> None:
        """Lets a target go. A run of it that is under way ends by itself."""
        target = self._targets.get(uid)
        if target is None or target.removed:
            return
        target.removed = True
        self._present -= 1
        target.again = False
        target.ticket = 0
        if target.state is _State.IDLE:
            del self._targets[uid]

    def trigger(self, uid: str) -> None:
        """Makes a target due now. Told during a run, the target runs again right after; told twice,
        once.
        """
        target = self._targets.get(uid)
        if target is None or target.removed:
            return
        if target.state is _State.RUNNING:
            target.again = True
        elif target.state is _State.IDLE:
            self._enqueue(target, self._clock.monotonic())
            self._dispatch()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set; then starts nothing more and returns when the runs under way
        have ended.

        Cancel it to end those as well.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(self._limits.concurrency):
                group.create_task(self._worker())
            group.create_task(self._await_stop(stop))
            while not self._stopping:
                now = self._clock.monotonic()
                self._collect(now)
                self._dispatch()
                next_due = self._heap[0][0] - now if self._heap else None
                await self._wake.sleep(next_due if next_due is None else max(next_due, _PATIENCE))
            for _ in range(self._limits.concurrency):
                self._assigned.put_nowait(None)

    async def _await_stop(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopping = True
        self._wake.set()

    async def _worker(self) -> None:
        while (target := await self._assigned.get()) is not None:
            if not self._stopping and not target.removed:
                self._on_late(self._clock.monotonic() - target.due)
                pause = await self._guarded(target)
            else:
                pause = None
            self._finished(target, pause)

    async def _guarded(self, target: _Target) -> float | None:
        """The boundary: what ``work`` raises ends here, so that one target's fault is not every
        target's.
        """
        try:
            pause = await self._work(target.uid)
        except Exception:
            target.errors += 1
            self._on_error()
            if target.errors == 1:
                logger.exception("work on a target failed", extra={"uid": target.uid})
            longest = min(
                target.interval * 2.0 ** min(target.errors, 16), self._limits.error_backoff_cap
            )
            # Between half and all of it, the same on every replica.
            return longest * (1 + stable_fraction(target.uid, str(target.errors))) / 2
        target.errors = 0
        return pause

    def _finished(self, target: _Target, pause: float | None) -> None:
        namespace = target.namespace
        self._running_total -= 1
        self._running[namespace] -= 1
        if not self._running[namespace]:
            del self._running[namespace]
        target.state = _State.IDLE
        now = self._clock.monotonic()
        if target.removed:
            del self._targets[target.uid]
        elif target.again:
            target.again = False
            self._enqueue(target, now)
        else:
            self._push(target, target.next_slot(now) if pause is None else now + max(pause, 0.0))
        self._offer_turn(namespace)
        self._dispatch()

    def _push(self, target: _Target, due: float) -> None:
        self._tickets += 1
        target.ticket = self._tickets
        target.due = due
        heapq.heappush(self._heap, (due, target.ticket, target))
        if self._heap[0][2] is target:
            self._wake.set()
        # Updates and triggers leave void entries behind; they must not outgrow the targets.
        if len(self._heap) > 2 * len(self._targets) + 64:
            self._heap = [entry for entry in self._heap if entry[1] == entry[2].ticket]
            heapq.heapify(self._heap)

    def _collect(self, now: float) -> None:
        """Moves what is due from the heap to the queues."""
        while self._heap and (
            self._heap[0][0] <= now or self._heap[0][1] != self._heap[0][2].ticket
        ):
            due, ticket, target = heapq.heappop(self._heap)
            if ticket == target.ticket:
                self._enqueue(target, due)

    def _enqueue(self, target: _Target, due: float) -> None:
        target.ticket = 0
        target.due = due
        target.state = _State.WAITING
        self._waiting.setdefault(target.namespace, deque()).append(target)
        self._waiting_total += 1
        self._offer_turn(target.namespace)

    def _offer_turn(self, namespace: str) -> None:
        """Puts a namespace in line if it has something waiting and is below its cap."""
        if (
            namespace in self._waiting
            and namespace not in self._in_turn
            and self._running.get(namespace, 0) < self._limits.per_namespace
        ):
            self._in_turn.add(namespace)
            self._turns.append(namespace)

    def _dispatch(self) -> None:
        """Hands waiting targets to free workers, one of each namespace in turn."""
        while self._turns and self._running_total < self._limits.concurrency:
            namespace = self._turns.popleft()
            self._in_turn.discard(namespace)
            queue = self._waiting[namespace]
            target = queue.popleft()
            self._waiting_total -= 1
            if not queue:
                del self._waiting[namespace]
            if target.removed:
                self._targets.pop(target.uid, None)
            else:
                target.state = _State.RUNNING
                self._running_total += 1
                self._running[namespace] = self._running.get(namespace, 0) + 1
                self._assigned.put_nowait(target)
            self._offer_turn(namespace)
