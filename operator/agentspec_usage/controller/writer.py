"""Status writes: few, fair, newest state only, and none lost while the API server is away.

One write costs the API server about 5 ms of CPU, a write that changes nothing as much as any other.
So the owner of an object only says that it is dirty; what is written is rendered at the moment of
sending, and one write carries all that happened until then. What decides who is next:

- folds and final numbers first, then conditions, then tokens; within each, who has been dirty
  longest;
- tokens alone wait until the object's last write is ``min_interval`` old: the budget stretches that
  further when many objects are busy, evenly, because the queue is by age;
- money alone, which moves without tokens when a day begins or an estimate is settled, waits longer
  and goes last;
- one write of an object at a time, ``concurrency`` in all, and never more than the budget allows.

What an answer means: a conflict is the owner's (it takes the new object and submits again), a gone
object is forgotten, an invalid write is a bug of ours and waits for minutes, and only that object
does. A 429 slows every write down. When the API server is away, all wait, then one write at a time
tries whether it is back.

The workers are created when ``run`` begins and live as long: kopf cancels tasks that were created
after it started.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from agentspec_usage.controller.wake import Wake
from agentspec_usage.controller.write_queue import Done, Entry, Render, WriteQueue
from agentspec_usage.kube.status_write import (
    PreparedWrite,
    Priority,
    StatusPort,
    WriteResult,
)
from agentspec_usage.kube.write_budget import WriteBudget
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.runtime.ids import stable_fraction

__all__ = [
    "PreparedWrite",
    "Priority",
    "StatusPort",
    "StatusWriter",
    "WriteResult",
    "WriterSettings",
    "WriterStats",
]

logger = logging.getLogger(__name__)

_LET_GO_FROM = 1024


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """How much may be written. Times in seconds.

    ``budget_per_s``: writes of this replica; 50 cost the API server a quarter of a core.
    ``min_interval``: between two writes of an object that only bring tokens; ``money_interval``
    where they only bring money. ``settle``: that either waits for what comes with it, which is the
    control plane's answer to the same tokens. ``concurrency``: writes under way; eight of 5 ms are
    1,600 a second, so the budget is what limits. ``invalid_backoff``, ``invalid_backoff_cap``:
    pause of an object whose write was refused as invalid. ``outage_backoff``,
    ``outage_backoff_cap``: pause of all while the API server is away; the cap is how late a
    recovery may be noticed. ``identity``: what tells replicas apart, for their jitter.
    """

    budget_per_s: float = 50.0
    min_interval: float = 15.0
    money_interval: float = 60.0
    settle: float = 0.0
    concurrency: int = 8
    invalid_backoff: float = 30.0
    invalid_backoff_cap: float = 600.0
    outage_backoff: float = 0.5
    outage_backoff_cap: float = 15.0
    identity: str = ""


@dataclass(frozen=True, slots=True)
class WriterStats:
    """Counts since the start, and what is dirty or under way now."""

    written: int
    suppressed: int
    conflicts: int
    gone: int
    invalid: int
    throttled: int
    failed: int
    dirty: int
    in_flight: int


class StatusWriter:
    """Writes what is dirty. All methods belong to the event loop's thread; ``stats`` may be read
    from any.
    """

    def __init__(
        self, port: StatusPort, clock: Clock, settings: WriterSettings | None = None
    ) -> None:
        self._port = port
        self._clock = clock
        self._settings = settings or WriterSettings()
        self._budget = WriteBudget(self._settings.budget_per_s, clock.monotonic())
        self._entries: dict[str, Entry] = {}
        self._queue = WriteQueue()
        self._turns = 0
        self._let_go_at = _LET_GO_FROM
        self._assigned: asyncio.Queue[Entry | None] = asyncio.Queue()
        self._wake = Wake()
        self._settled = asyncio.Event()
        self._in_flight = 0
        self._outages = 0
        self._paused_until = clock.monotonic()
        self._flushing = False
        self._stopping = False
        self._counts = dict.fromkeys(
            ("written", "conflict", "gone", "invalid", "throttled", "failed", "suppressed"), 0
        )
        self._dirty = 0

    @property
    def stats(self) -> WriterStats:
        """A snapshot of the counts."""
        counts = self._counts
        return WriterStats(
            written=counts["written"],
            suppressed=counts["suppressed"],
            conflicts=counts["conflict"],
            gone=counts["gone"],
            invalid=counts["invalid"],
            throttled=counts["throttled"],
            failed=counts["failed"],
            dirty=self._dirty,
            in_flight=self._in_flight,
        )

    def submit(self, uid: str, priority: Priority, render: Render, done: Done) -> None:
        """Says that the object of ``uid`` is dirty.

        ``render`` is called when its turn has come and gives what to write then, None when nothing
        is left to write. ``done`` is told each result. Submitting again before that replaces both
        and keeps the place in the queue, or the better one.
        """
        entry = self._entries.get(uid)
        if entry is None:
            self._let_go()
            entry = self._entries[uid] = Entry(uid, render, done)
        entry.render, entry.done = render, done
        entry.forgotten = False
        if not entry.dirty:
            self._turns += 1
            self._soil(entry, priority, self._turns)
        elif priority < entry.priority:
            if entry.priority is Priority.MONEY:
                entry.dirty_at = self._clock.monotonic()
            entry.priority = priority
        else:
            return
        self._place(entry)

    def forget(self, uid: str) -> None:
        """Drops an object that is gone. A write of it that is under way ends by itself."""
        entry = self._entries.get(uid)
        if entry is None:
            return
        self._clean(entry)
        # One under way stays known, so that a uid that comes back does not overlap it.
        entry.forgotten = True
        if not entry.in_flight:
            del self._entries[uid]

    async def run(self, stop: asyncio.Event) -> None:
        """Writes until ``stop`` is set, and returns when the writes under way have ended.

        What is still dirty then stays unwritten: ``flush`` first.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.concurrency):
                group.create_task(self._worker())
            group.create_task(self._await_stop(stop))
            while not self._stopping:
                await self._wake.sleep(self._dispatch())
            for _ in range(self._settings.concurrency):
                self._assigned.put_nowait(None)

    async def flush(self, seconds: float) -> int:
        """Writes everything dirty, also what was written a moment ago, within ``seconds``.

        Returns how many objects stayed dirty: those that the API server refuses as invalid, and
        what the budget or an outage left no time for. ``run`` does the writing. What is submitted
        from now on goes at once.
        """
        self._flushing = True
        for entry in self._entries.values():
            if entry.dirty:
                self._place(entry)
        try:
            async with asyncio.timeout(seconds):
                while self._in_flight or any(
                    e.dirty and not e.refusals for e in self._entries.values()
                ):
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            logger.warning("not everything was written in time", extra={"dirty": self._dirty})
        return self._dirty

    async def _await_stop(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopping = True
        self._wake.set()

    def _let_go(self) -> None:
        """Drops what nothing is known of any more that would change a write: deleted objects end
        here.
        """
        if len(self._entries) < self._let_go_at:
            return
        now = self._clock.monotonic()
        for entry in list(self._entries.values()):
            idle = not (entry.dirty or entry.in_flight or entry.refusals or entry.conflicts)
            if idle and self._due(entry) <= now:
                del self._entries[entry.uid]
        self._let_go_at = max(_LET_GO_FROM, 2 * len(self._entries))

    def _soil(self, entry: Entry, priority: Priority, turn: int) -> None:
        entry.dirty = True
        entry.dirty_at = self._clock.monotonic()
        entry.turn = turn
        entry.priority = priority
        self._dirty += 1

    def _clean(self, entry: Entry) -> None:
        self._queue.remove(entry)
        if entry.dirty:
            entry.dirty = False
            self._dirty -= 1

    def _place(self, entry: Entry) -> None:
        """Puts a dirty entry where it belongs; one in flight is placed when its write has ended."""
        if not entry.in_flight:
            self._queue.put(entry, self._due(entry))
            self._wake.set()

    def _due(self, entry: Entry) -> float:
        if entry.priority < Priority.TOKENS or self._flushing:
            return entry.not_before
        settings = self._settings
        due = max(entry.not_before, entry.dirty_at + settings.settle)
        if entry.written_at is None:
            return due
        money = entry.priority is Priority.MONEY
        interval = settings.money_interval if money else settings.min_interval
        return max(due, entry.written_at + interval)

    def _dispatch(self) -> float | None:
        """Gives workers what may be sent now.

        Returns the seconds until more may be, None when only an event can change that.
        """
        now = self._clock.monotonic()
        while (entry := self._queue.next(now)) is not None:
            if self._in_flight >= (1 if self._outages else self._settings.concurrency):
                return None
            if now < self._paused_until:
                return self._paused_until - now
            if not self._budget.take(now):
                return self._budget.wait(now)
            self._queue.remove(entry)
            entry.in_flight = True
            self._in_flight += 1
            self._assigned.put_nowait(entry)
        return self._queue.wait(now)

    async def _worker(self) -> None:
        while (entry := await self._assigned.get()) is not None:
            turn, priority = entry.turn, entry.priority
            sent_at = self._clock.monotonic()
            done = entry.done
            self._clean(entry)
            result = await self._attempt(entry)
            entry.in_flight = False
            self._in_flight -= 1
            if result is None:
                self._counts["suppressed"] += 1
                self._budget.give_back()
            else:
                self._counts[result.kind] += 1
                if self._settle(entry, result, sent_at) and not entry.forgotten:
                    self._repeat(entry, priority, turn)
                self._tell(entry, done, result)
            if entry.forgotten and not entry.dirty:
                self._entries.pop(entry.uid, None)
            if entry.dirty:
                self._place(entry)
            self._wake.set()
            self._settled.set()

    async def _attempt(self, entry: Entry) -> WriteResult | None:
        """The boundary: what rendering or the port raises is a bug of ours, and of this object."""
        try:
            prepared = entry.render()
            if prepared is None:
                return None
            return await self._port.patch_status(
                prepared.namespace,
                prepared.name,
                prepared.uid,
                prepared.resource_version,
                prepared.status,
            )
        except Exception:
            if not entry.refusals:
                logger.exception("a status could not be prepared or sent", extra={"uid": entry.uid})
            return WriteResult("invalid", None, None, "the operator failed to prepare or send it")

    def _tell(self, entry: Entry, done: Done, result: WriteResult) -> None:
        """The other boundary: an owner's fault with one object stops no other's writes."""
        try:
            done(result)
        except Exception:
            logger.exception("the owner of a status failed", extra={"uid": entry.uid})

    def _settle(self, entry: Entry, result: WriteResult, sent_at: float) -> bool:
        """Draws the consequences of a result; whether the write is to be repeated."""
        now = self._clock.monotonic()
        if result.kind == "failed":
            self._api_server_away(entry, result, now)
            return True
        # Any answer means that the API server is there.
        if self._outages:
            logger.info("the API server takes status writes again")
        self._outages = 0
        entry.failures = 0
        match result.kind:
            case "throttled":
                pause = min(result.retry_after or 1.0, 60.0)
                self._budget.halve(now, pause)
                self._pause(pause, now)
                return True
            case "invalid":
                entry.refusals += 1
                if entry.refusals == 1:
                    logger.error(
                        "a status write was refused as invalid",
                        extra={"uid": entry.uid, "reason": result.message},
                    )
                first, cap = self._settings.invalid_backoff, self._settings.invalid_backoff_cap
                entry.not_before = now + _backoff(first, cap, entry.refusals, entry.uid)
                return True
            case "conflict":
                entry.conflicts += 1
                # The first is normal. A row means two writers, and neither wins by hurrying.
                if entry.conflicts > 1:
                    entry.not_before = now + _backoff(0.1, 5.0, entry.conflicts - 1, entry.uid)
            case "written":
                entry.written_at = sent_at
                entry.conflicts = entry.refusals = 0
                entry.not_before = 0.0
            case "gone":
                self.forget(entry.uid)
        return False

    def _repeat(self, entry: Entry, priority: Priority, turn: int) -> None:
        """Makes an entry dirty again with the place that it had."""
        if entry.dirty:
            entry.priority = min(entry.priority, priority)
            entry.turn = min(entry.turn, turn)
        else:
            self._soil(entry, priority, turn)

    def _api_server_away(self, entry: Entry, result: WriteResult, now: float) -> None:
        first, cap = self._settings.outage_backoff, self._settings.outage_backoff_cap
        # An object that fails while others succeed must not be the one that is tried each time.
        entry.failures += 1
        entry.not_before = now + _backoff(first, cap, entry.failures, entry.uid)
        # What was under way together fails together: one outage, counted once.
        if now < self._paused_until and self._outages:
            return
        self._outages += 1
        if self._outages == 1:
            logger.warning("a status write failed", extra={"reason": result.message})
        pause = _backoff(first, cap, self._outages, self._settings.identity)
        self._pause(max(pause, min(result.retry_after or 0.0, 60.0)), now)

    def _pause(self, seconds: float, now: float) -> None:
        self._paused_until = max(self._paused_until, now + seconds)


def _backoff(first: float, cap: float, attempt: int, identity: str) -> float:
    """Doubling from ``first`` to ``cap``, of which jitter takes up to half away."""
    longest = min(cap, first * 2.0 ** min(attempt - 1, 32))
    return longest * (1 + stable_fraction(identity, str(attempt))) / 2
