"""The agent's ledger: one object per process that every surface of the SDK feeds.

``record`` is what a model call pays, so its usual form (a model, two counts) is one lock and three
additions into an open cell; cells are entered into the ledger proper (``metering.ledger``, where
the laws are) before anything reads it. A call with details takes the longer way at once.

Whoever must hear of each call is a sink. One that somebody else reads at any moment (a worker's
shared file) hears at once; one that is looked at now and then (an outbox) hears *lazily*: calls
wait until it says ``settle``, or until there are many, and the records are made then.

Nothing here resets: ``snapshot`` is cumulative since the process began. Readers that want windows
(AgentSpec's ``snapshot(reset=True)``, ``drain_up_to``) are served from a cursor beside the totals.

A forked child is another instance: new id, nothing counted, fresh locks.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Protocol, Unpack
from weakref import WeakSet

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts, counts_of
from agentspec_usage.metering.cursor import Cursor
from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.metering.record import (
    NO_REQUESTS,
    CallContext,
    CallStatus,
    UsageRecord,
)
from agentspec_usage.metering.series import CONTEXT_THRESHOLDS, MAX_SERIES, context_class
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.runtime.clock import Clock, SystemClock
from agentspec_usage.runtime.ids import new_instance_id
from agentspec_usage.sdk.background import BackgroundCalls
from agentspec_usage.sdk.call_details import (
    CallDetails,
    identity_of,
    key_of,
    parts_of,
    series_key,
)
from agentspec_usage.sdk.context import current_context
from agentspec_usage.sdk.shield import shielded
from agentspec_usage.sdk.sightings import Sightings
from agentspec_usage.sdk.worker_directory import WorkerDirectory

__all__ = ["RecordSink", "UsageLedger"]

_MOST_WAITING = 256
"""Calls that wait for lazy sinks: what one of them pays for all is a millisecond or two."""

_PLAIN = CONTEXT_THRESHOLDS[0]
"""Counts up to here are of context class 0, and no number of them that a process could make
overflows an open cell before it is entered."""


class RecordSink(Protocol):
    """Something that hears of every counted call, once and in order, under the ledger's lock."""

    def begin(self, snapshot: UsageSnapshot) -> None:
        """An instance begins here, with what it counted already: nothing, in a forked child."""
        ...

    def append(self, record: UsageRecord) -> None:
        """A call was counted. Must not block, and must not call the ledger."""
        ...

    def invalid(self, calls: int, at: int) -> None:
        """So many calls were refused so far."""
        ...


class UsageLedger:
    """Counts what this process used. Thread-safe, fork-safe; never raises into its host."""

    def __init__(
        self, *, shared_directory: Path | str | None = None, clock: Clock | None = None
    ) -> None:
        """``shared_directory`` is where several workers behind one port keep their counts."""
        self._clock = SystemClock() if clock is None else clock
        self._sinks: tuple[RecordSink, ...] = ()
        self._lazily = True
        self._workers: WorkerDirectory | None = None
        self._begin()
        _LEDGERS.add(self)
        if shared_directory is not None:
            self._workers = WorkerDirectory(Path(shared_directory))
            self.attach(self._workers)

    def _begin(self) -> None:
        """Begin an instance. In a forked child nobody would ever release the parent's locks."""
        self._lock = Lock()
        self._open: dict[str, list[int]] = {}
        self._seq = 0
        self._invalid = 0
        self._late: deque[UsageRecord] = deque()
        self._waiting: deque[_PlainCall | UsageRecord] = deque()
        # The first call is heard at once: a sink may have to wake up in a forked child.
        self._heard = False
        self._cursor = Cursor()
        self._instance_id = new_instance_id()
        self._started_at = self._clock.now()
        self._ledger = Ledger(self._instance_id, self._started_at)
        self.sightings = Sightings()
        self.background = BackgroundCalls()
        for sink in self._sinks:
            shielded(sink.begin, self._read())

    @property
    def instance_id(self) -> str:
        """This process life's id: 32 lower-case hex digits."""
        return self._instance_id

    @property
    def clock(self) -> Clock:
        """What times of calls are read from."""
        return self._clock

    def attach(self, sink: RecordSink, *, lazily: bool = False) -> None:
        """From now on ``sink`` hears of every call; ``lazily``: at the latest with ``settle``."""
        with self._lock:
            self._settle()
            shielded(sink.begin, self._read())
            self._sinks = (*self._sinks, sink)
            self._lazily = self._lazily and lazily
            self._heard = False

    def settle(self) -> None:
        """Let the lazy sinks hear of every call so far."""
        with self._lock:
            self._settle()

    def record(
        self,
        model_id: str,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        **details: Unpack[CallDetails],
    ) -> None:
        """Count one call of ``model_id``, ``provider/model`` or the bare model.

        Prompt tokens include what was read from and written to a cache, completion tokens include
        reasoning. A negative count is taken as 0 and the call counted as invalid as well; a count
        that is no whole number makes the call invalid and adds nothing else.
        """
        if (
            not details
            and type(prompt_tokens) is type(completion_tokens) is int
            and 0 <= prompt_tokens <= _PLAIN
            and 0 <= completion_tokens <= _PLAIN
            and type(model_id) is str
        ):
            with self._lock:
                if self._heard or not self._sinks:
                    cell = self._open.get(model_id)
                    if cell is None:
                        if len(self._open) >= MAX_SERIES:
                            self._enter_open_cells()
                        cell = self._open[model_id] = [0, 0, 0]
                    cell[0] += prompt_tokens
                    cell[1] += completion_tokens
                    cell[2] += 1
                    self._seq += 1
                    if self._sinks:
                        at, context = self._clock.now(), current_context()
                        self._wait(
                            (self._seq, model_id, prompt_tokens, completion_tokens, at, context)
                        )
                    return
        if not shielded(self._record_whole, model_id, prompt_tokens, completion_tokens, details):
            with self._lock:
                self._refused()

    def _record_whole(
        self, model_id: str, prompt_tokens: int, completion_tokens: int, details: CallDetails
    ) -> bool:
        """Count the call; whether every count was one."""
        prompt, completion = _not_negative(prompt_tokens), _not_negative(completion_tokens)
        parts = parts_of(prompt, completion, details)
        key = key_of(model_id, prompt, details)
        call_id, response_id, context = identity_of(details)
        with self._lock:
            self._enter_open_cells()
            if not self._ledger.record_parts(key, parts):
                return False
            self._seq += 1
            if self._sinks:
                status = CallStatus.UNMETERED if details.get("unmetered") else CallStatus.OK
                self._wait(
                    UsageRecord(
                        self._seq,
                        self._clock.now(),
                        key,
                        counts_of(parts),
                        status,
                        call_id=call_id,
                        response_id=response_id,
                        requests=NO_REQUESTS,
                        context=context or current_context(),
                    )
                )
        return prompt is prompt_tokens and completion is completion_tokens

    def meter(self, record: UsageRecord) -> bool:
        """Count ``record``; whether it was valid. Its seq, time and context class are set here."""
        with self._lock:
            self._enter_open_cells()
            return self._enter(record)

    def meter_late(self, record: UsageRecord) -> None:
        """Count ``record`` before the next reading, without waiting for the lock.

        For what may run while this very thread holds it: the garbage collector, closing a stream
        that its host dropped.
        """
        self._late.append(record)

    def give_up_background(self) -> None:
        """Count what still goes on in the background as unmetered: this process will not see it."""
        for record in self.background.take_all():
            self.meter(record)

    def snapshot(self, reset: bool = False, *, final: bool = False) -> UsageSnapshot:
        """What this process used since it began. Reading changes nothing.

        With ``reset``, AgentSpec's window instead: what was used since the last reset, which this
        one passes. ``final`` says that this process records no more.
        """
        with self._lock:
            now = self._read(final=final)
            if not reset:
                return now
            window = self._cursor.peek(now)
            self._cursor = self._cursor.advanced(now)
            return window

    def window(self, snapshot: UsageSnapshot) -> UsageSnapshot:
        """The part of ``snapshot`` that was not drained yet, in AgentSpec's dialect.

        Send it, and ``drain_up_to(snapshot)`` when it arrived: what did not arrive stays.
        """
        with self._lock:
            return self._cursor.peek(snapshot)

    def drain_up_to(self, snapshot: UsageSnapshot) -> None:
        """What ``snapshot`` shows was delivered: the next window begins there."""
        with self._lock:
            self._cursor = self._cursor.advanced(snapshot)

    def snapshots(self) -> list[UsageSnapshot]:
        """What an answer of this process says: its own snapshot, and those of the workers that
        share its directory.
        """
        own = self.snapshot()
        if self._workers is None:
            return [own]
        return shielded(self._workers.with_others, own) or [own]

    # What follows runs under the lock.

    def _read(self, *, final: bool = False) -> UsageSnapshot:
        self._enter_open_cells()
        seen = self._ledger.snapshot(self._clock.now(), final=final)
        return replace(seen, seq=self._seq, invalid_calls=min(self._invalid, MAX_COUNT))

    def _enter_open_cells(self) -> None:
        """Enter what the short way of ``record`` left open, and what came late."""
        if self._open:
            for model_id, (prompt, completion, calls) in self._open.items():
                counts = TokenCounts(input=prompt, output=completion, calls=calls)
                self._ledger.record(series_key(model_id), counts)
            self._open = {}
        while self._late:
            self._enter(self._late.popleft())

    def _enter(self, record: UsageRecord) -> bool:
        size = record.counts.input
        price_class = context_class(size) if type(size) is int else 0
        key = record.key
        if key.context_class != price_class:
            key = replace(key, context_class=price_class)
        if not self._ledger.record(key, record.counts):
            self._refused()
            return False
        self._seq += 1
        if self._sinks:
            self._wait(replace(record, key=key, seq=self._seq, at=self._clock.now()))
        return True

    def _wait(self, call: _PlainCall | UsageRecord) -> None:
        """The newest call, of which the sinks are to hear."""
        self._waiting.append(call)
        if not self._heard or len(self._waiting) >= _MOST_WAITING:
            self._settle()
            self._heard = self._lazily

    def _settle(self) -> None:
        waiting = self._waiting
        while waiting:
            call = waiting[0]
            record = call if isinstance(call, UsageRecord) else _plain_record(*call)
            for sink in self._sinks:
                shielded(sink.append, record)
            # Only now: a signal may end this here, and what was not heard then is heard at the end.
            waiting.popleft()

    def _refused(self) -> None:
        self._invalid += 1
        for sink in self._sinks:
            shielded(sink.invalid, self._invalid, self._clock.now())


_PlainCall = tuple[int, str, int, int, int, CallContext]
"""A call of the usual form that waits: seq, model id, prompt and completion tokens, time, context.
"""


def _plain_record(
    seq: int, model_id: str, prompt: int, completion: int, at: int, context: CallContext
) -> UsageRecord:
    counts = TokenCounts(prompt, completion, calls=1)
    return UsageRecord(seq, at, series_key(model_id), counts, context=context)


def _not_negative(count: int) -> int:
    return 0 if type(count) is int and count < 0 else count


_LEDGERS: WeakSet[UsageLedger] = WeakSet()


def _begin_in_child() -> None:
    for ledger in list(_LEDGERS):
        ledger._begin()


os.register_at_fork(after_in_child=_begin_in_child)
