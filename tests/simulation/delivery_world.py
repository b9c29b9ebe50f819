"""Agents, forks, a store and the network between them: the truth beside what the code makes of it.

Everything that counts is shipped: ledger, outbox, cursor, the receiver's rule, the codec. What is
simulated is what surrounds it: processes, the network, disks, clocks. The truth is a list of calls
per process, which no code under test ever sees.
"""

from __future__ import annotations

import copy
import copyreg
from dataclasses import dataclass, field, replace
from threading import Lock
from types import MappingProxyType
from typing import TypeVar

from agentspec_usage.metering.buffer import BufferLimits
from agentspec_usage.metering.counts import ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.cursor import Cursor
from agentspec_usage.metering.frame import SealedFrame, bucket_of
from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.metering.outbox import Outbox, outbox_of_spool
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, UsageSnapshot
from agentspec_usage.metering.windows import DrainedWindows
from agentspec_usage.wire.frame_header import decode_frame_header
from agentspec_usage.wire.records_answer import decode_records_answer
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.simulation.frame_store import Crashed, FrameStore
from tests.simulation.laws import hold
from tests.unit.metering.readings import numbered_id

__all__ = ["LIMITS", "AgentProcess", "DeliveryWorld", "Reader"]

LIMITS = BufferLimits(records=4, aggregates=5, frame_items=3)
"""Small, so that a short program merges, splits and goes coarse."""

T = TypeVar("T")
K = TypeVar("K")

_LOCK = type(Lock())

# A fork copies whatever memory holds; ``deepcopy`` has to be told how for read-only mappings.
copyreg.pickle(MappingProxyType, lambda mapping: (MappingProxyType, (dict(mapping),)))

MODELS = (SeriesKey("openai", "gpt"), SeriesKey("openai", "o3"), SeriesKey("anthropic", "opus"))


@dataclass
class Reader:
    """A receiver of AgentSpec's windows, with a cursor of its own at the sender."""

    cursor: Cursor = field(default_factory=Cursor)
    received: DrainedWindows = field(default_factory=lambda: DrainedWindows(0))


@dataclass
class AgentProcess:
    """A process of an agent. ``calls`` is the truth."""

    id: str
    ledger: Ledger
    outbox: Outbox
    calls: list[UsageRecord] = field(default_factory=list)
    alive: bool = True
    crashed: bool = False
    readers: tuple[Reader, Reader] = field(default_factory=lambda: (Reader(), Reader()))

    @property
    def totals(self) -> TokenCounts:
        return sum_counts(call.counts for call in self.calls)

    def totals_at(self, seq: int) -> TokenCounts:
        return sum_counts(call.counts for call in self.calls[:seq])

    def cells(self, seq: int | None = None) -> dict[SeriesKey, TokenCounts]:
        return _sums([(call.key, call.counts) for call in self.calls[:seq]])

    def buckets(self) -> dict[tuple[SeriesKey, int], TokenCounts]:
        return _sums([((call.key, bucket_of(call.at)), call.counts) for call in self.calls])


@dataclass
class Message:
    """A frame on its way. ``answer`` once the store gave one."""

    sender: AgentProcess
    sealed: SealedFrame
    answer: bytes | None = None


class DeliveryWorld:
    """The truth, and what happens in it."""

    def __init__(self, store: FrameStore) -> None:
        self.store = store
        self.processes: list[AgentProcess] = []
        self.messages: list[Message] = []
        self.now = 1_700_000_000_000
        self.clock_fell = False
        self.restored = False
        self.most_durable: dict[str, int] = {}
        self.start()

    # What agents do.

    def start(self) -> AgentProcess:
        instance_id = numbered_id(len(self.processes) + 1)
        ledger = Ledger(instance_id, self.now)
        process = AgentProcess(
            instance_id, ledger, Outbox(instance_id, Observer.SDK, encode_frame, LIMITS)
        )
        self.processes.append(process)
        return process

    def call(self, process: AgentProcess, model: int, amount: int, status: CallStatus) -> None:
        if not process.alive:
            return
        unmetered = status is CallStatus.UNMETERED
        tokens = TokenCounts() if unmetered else TokenCounts(amount, amount // 2, amount // 3)
        record = UsageRecord(
            seq=len(process.calls) + 1,
            at=self.now,
            key=MODELS[model],
            counts=replace(tokens, calls=1, unmetered_calls=int(unmetered)),
            status=status,
            response_id=f"{process.id}-{len(process.calls)}",
        )
        process.calls.append(record)
        process.ledger.record(record.key, record.counts)
        process.outbox.append(record)

    def fork(self, process: AgentProcess) -> None:
        if not process.alive:
            return
        instance_id = numbered_id(len(self.processes) + 1)
        child = AgentProcess(instance_id, _copied(process.ledger), _copied(process.outbox))
        child.ledger.reset_after_fork(instance_id, self.now)
        child.outbox.reset_after_fork(instance_id)
        self.processes.append(child)

    def crash(self, process: AgentProcess) -> None:
        """Killed: what was not durable is gone with the process."""
        if process.alive:
            process.alive, process.crashed = False, True

    def stop(self, process: AgentProcess) -> None:
        """SIGTERM and no answer in time: a file takes the rest, and another process sends it."""
        if not process.alive:
            return
        process.alive = False
        spooled = process.outbox.spool()
        if spooled.frames:
            read = [SealedFrame(decode_frame_header(one.body), one.body) for one in spooled.frames]
            process.outbox = outbox_of_spool(replace(spooled, frames=tuple(read)), encode_frame)

    def finish(self, process: AgentProcess) -> None:
        """SIGTERM: intake stops, and the end is said while the process still runs."""
        process.alive = False
        process.outbox.finish()

    def step_clock(self, seconds: int) -> None:
        self.clock_fell = self.clock_fell or seconds < 0
        self.now = max(self.now + seconds * 1000, 0)

    # The network.

    def send(self, process: AgentProcess) -> Message | None:
        sealed = process.outbox.to_send() if not process.crashed else None
        if sealed is None:
            return None
        message = Message(process, sealed)
        self.messages.append(message)
        return message

    def arrive(self, message: Message, crash: str = "") -> None:
        """At the store, now: for the first time or again."""
        try:
            message.answer = self.store.receive(encode_records([message.sealed.body]), crash=crash)
        except Crashed:
            return
        finally:
            for process in self.processes:
                seq = self.store.stored(process.id).mark.seq
                known = self.most_durable.get(process.id, 0)
                self.most_durable[process.id] = max(known, seq)

    def hear(self, message: Message) -> None:
        """The answer arrives at the sender, if there is one and the sender still lives."""
        sender = message.sender
        if message.answer is None or sender.crashed:
            return
        answer = decode_records_answer(message.answer)
        if sender.id in answer.durable:
            sender.outbox.acknowledged(message.sealed, answer.durable[sender.id])
        if sender.id in answer.gaps:
            sender.outbox.stands_at(answer.gaps[sender.id])

    def heartbeat(self, process: AgentProcess) -> None:
        if not process.crashed:
            process.outbox.stands_at(self.store.stored(process.id).mark.seq)

    def restore(self) -> None:
        self.store.restore()
        self.restored = True

    def drain_window(self, process: AgentProcess, which: int, arrives: bool, heard: bool) -> None:
        """One of two readers gets its window; the answer may be lost."""
        if not process.alive:
            return
        reader = process.readers[which]
        now = process.ledger.snapshot(self.tick())
        window = reader.cursor.peek(now)
        if arrives:
            reader.received = reader.received.advance(window)
            if heard:
                reader.cursor = reader.cursor.advanced(now)

    def tick(self) -> int:
        self.now += 1
        return self.now

    # What must hold.

    def check(self) -> None:
        for process in self.processes:
            self._check_ledger(process)
            self._check_stored(process)
            for reader in process.readers:
                used = reader.received.used().totals
                hold("I1", process.totals.covers(used), f"window {used} of {process.totals}")

    def _check_ledger(self, process: AgentProcess) -> None:
        seen: UsageSnapshot = process.ledger.snapshot(self.now)
        hold("I1", seen.totals == process.totals, f"ledger {seen.totals} of {process.totals}")
        held = LIMITS.records + LIMITS.aggregates + len(MODELS) + 1
        hold("I15", process.outbox.items <= held, f"{process.outbox.items} items wait")

    def _check_stored(self, process: AgentProcess) -> None:
        stored = self.store.stored(process.id)
        mark = stored.mark
        truth = process.totals_at(mark.seq)
        hold("I1", process.totals.covers(mark.totals), f"stored {mark.totals}")
        for key, counts in stored.cells.items():
            true = process.cells().get(key, ZERO)
            hold("I1", true.covers(counts), f"{key.model}: stored {counts} of {true}")
        for cell, counts in stored.timely.items():
            true = process.buckets().get(cell, ZERO)
            hold("I1", true.covers(counts), f"{cell}: stored {counts} of {true}")
        hold("I3", mark.totals == truth, f"at {mark.seq} stored {mark.totals} of {truth}")
        hold("I3", stored.items + stored.missing == mark.totals, "items do not sum to the totals")
        if not stored.missing:
            cells = process.cells(mark.seq)
            hold("I3", stored.cells == cells, f"stored {stored.cells} of {cells}")
        hold("I5", self.restored or not stored.missing, f"{stored.missing} went missing")
        durable = process.outbox.durable
        most = self.most_durable.get(process.id, 0)
        hold("I2", durable <= most, f"released {durable}, stored {most}")
        hold("I2", process.outbox.last == len(process.calls), "calls left the outbox unsent")

    def converge(self) -> None:
        """The faults stop: whoever can still speak does, and then nothing is missing."""
        for process in self.processes:
            if process.alive:
                self.finish(process)
            for _ in range(4 * len(process.calls) + 8):
                self.heartbeat(process)
                message = self.send(process)
                if message is None:
                    break
                self.arrive(message)
                self.hear(message)
            self.check()
            stored = self.store.stored(process.id)
            if process.crashed:
                continue
            hold("I4", stored.mark.seq == len(process.calls), f"{stored.mark} of {process.calls}")
            hold("I4", process.outbox.settled, "the outbox never settles")
            hold("I5", stored.mark.final or self.restored, "an end that was said is not stored")

    def converge_windows(self) -> None:
        """Without lost answers or a clock that fell, each reader has everything."""
        for process in self.processes:
            for which, reader in enumerate(process.readers):
                if process.alive and not self.clock_fell:
                    self.drain_window(process, which, arrives=True, heard=True)
                    used = reader.received.used().totals
                    hold("I4", used == process.totals, f"window {used} of {process.totals}")


def _copied(original: T) -> T:
    """What a fork makes of an object: the same memory, apart from then on."""
    locks = {id(value): Lock() for value in vars(original).values() if isinstance(value, _LOCK)}
    copied = object.__new__(type(original))
    vars(copied).update(copy.deepcopy(vars(original), memo=locks))
    return copied


def _sums(pairs: list[tuple[K, TokenCounts]]) -> dict[K, TokenCounts]:
    sums: dict[K, TokenCounts] = {}
    for key, counts in pairs:
        sums[key] = sums.get(key, ZERO) + counts
    return sums
