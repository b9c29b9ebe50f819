"""The truth about one object's agents, and two operators that see parts of it.

Of every operator it is known what it has seen: what it read itself, what it took over from the
written state, and what it carried over a conflict. The law is an equality: an operator's total is
the sum, over instances, of the most that it has seen. From it follow that nothing is counted twice,
that nothing seen is lost, and that the written total never falls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    carry_over,
    fold,
    model_usage,
    needs_confirmation,
    new_checkpoint,
    observe,
    pods,
    totals,
)
from agentspec_usage.metering.counts import ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.metering.state import PodIdentity
from agentspec_usage.wire.writer_state import pack, unpack
from tests.unit.metering.readings import numbered_id, numbered_pod

__all__ = ["KINDS", "Step", "World"]

KINDS = (
    *("use_tokens", "scrape", "write") * 3,
    *("deliver", "fold_gone", "fold_by_mistake", "end_pod", "crash"),
    *("start_pod", "restart_process"),
)
"""What a step may be; what happens most stands there most."""

MODELS = ("gpt", "o3")

Seen = dict[str, TokenCounts]


def joined(one: Seen, other: Seen) -> Seen:
    return {key: one.get(key, ZERO).join(other.get(key, ZERO)) for key in {**one, **other}}


@dataclass
class Process:
    """An agent's process, as it truly is."""

    id: str
    pod: PodIdentity
    seq: int = 0
    alive: bool = True
    used: dict[str, TokenCounts] = field(default_factory=dict)

    def snapshot(self) -> UsageSnapshot:
        rows = tuple(SeriesRow(SeriesKey("p", model), used) for model, used in self.used.items())
        return UsageSnapshot(
            totals=sum_counts(self.used.values()),
            rows=rows,
            instance_id=self.id,
            observer=Observer.SDK,
            seq=self.seq,
        )


@dataclass
class Operator:
    """A process of ours: its state, the version it is based on, and what it has seen."""

    cp: Checkpoint
    version: int
    seen: Seen


class Step(NamedTuple):
    """What happens, by whom, to what: each world takes the numbers modulo what it has."""

    what: str
    who: int
    which: int
    amount: int


class World:
    """The truth, the written object, and two operators."""

    def __init__(self) -> None:
        self.all: list[Process] = []
        self.living: list[PodIdentity] = []
        self.sent: list[tuple[PodIdentity, UsageReading]] = []
        self.now = 1_000_000
        first = new_checkpoint("e1")
        self.written = pack(first)[1]
        self.version = 0
        self.written_seen: Seen = {}
        self.written_total = ZERO
        self.operators = [Operator(first, 0, {}) for _ in range(2)]
        self.pods = 0
        for _ in range(2):
            self.start_pod(self.operators[0], 0, 2)

    def run(self, step: Step) -> None:
        getattr(self, step.what)(self.operators[step.who], step.which, step.amount)
        self.check()

    def tick(self) -> int:
        self.now += 1000
        return self.now

    def start_pod(self, _: Operator, which: int, amount: int) -> None:
        self.pods += 1
        pod = numbered_pod(self.pods, created_at=self.tick())
        self.living.append(pod)
        for _worker in range(1 + amount % 2):
            self.birth(pod)

    def birth(self, pod: PodIdentity) -> None:
        self.all.append(Process(numbered_id(len(self.all) + 1), pod))

    def use_tokens(self, _: Operator, which: int, amount: int) -> None:
        process = self.all[which % len(self.all)]
        if process.alive:
            model = MODELS[amount % 2]
            more = TokenCounts(input=amount, output=amount // 3, calls=1)
            process.used[model] = process.used.get(model, ZERO) + more
            process.seq += 1

    def restart_process(self, _: Operator, which: int, amount: int) -> None:
        process = self.all[which % len(self.all)]
        if process.alive:
            process.alive = False
            self.birth(process.pod)

    def end_pod(self, _: Operator, which: int, amount: int) -> None:
        if self.living:
            pod = self.living.pop(which % len(self.living))
            for process in self.all:
                if process.pod == pod:
                    process.alive = False

    def scrape(self, operator: Operator, which: int, amount: int) -> None:
        """What a pod's port answers now; it may arrive again, later, or at the other operator."""
        if self.living:
            pod = self.living[which % len(self.living)]
            workers = [one for one in self.all if one.pod == pod and one.alive]
            self.sent.append((pod, UsageReading(tuple(one.snapshot() for one in workers))))
            self.deliver(operator, len(self.sent) - 1, amount)

    def deliver(self, operator: Operator, which: int, amount: int) -> None:
        if not self.sent:
            return
        pod, reading = self.sent[which % len(self.sent)]
        if needs_confirmation(operator.cp, pod.uid, reading) and pod not in self.living:
            return
        operator.cp = observe(operator.cp, pod, reading, self.tick())
        now = {one.instance_id or "": one.totals for one in reading.snapshots}
        operator.seen = joined(operator.seen, now)

    def fold_gone(self, operator: Operator, which: int, amount: int) -> None:
        operator.cp = fold(operator.cp, pods(operator.cp) - {pod.uid for pod in self.living})

    def fold_by_mistake(self, operator: Operator, which: int, amount: int) -> None:
        """A fold from a list that was wrong: its tombstones make even that harmless."""
        operator.cp = fold(operator.cp, [self.all[which % len(self.all)].pod.uid])

    def write(self, operator: Operator, which: int, amount: int) -> None:
        """The API server lets only the writer through that read the last version."""
        if operator.version != self.version:
            operator.cp = carry_over(unpack(self.written), operator.cp, self.tick())
            operator.version = self.version
            operator.seen = joined(operator.seen, self.written_seen)
            return
        operator.cp, self.written = pack(operator.cp)
        self.version += 1
        operator.version = self.version
        self.written_seen = operator.seen
        assert totals(operator.cp).covers(self.written_total)
        self.written_total = totals(operator.cp)

    def crash(self, operator: Operator, which: int, amount: int) -> None:
        """Killed at any moment: what was not written is forgotten; who lives is read again."""
        operator.cp = unpack(self.written)
        operator.version = self.version
        operator.seen = self.written_seen

    def check(self) -> None:
        truth = sum_counts(one.snapshot().totals for one in self.all)
        for operator in self.operators:
            whole = totals(operator.cp)
            assert whole == sum_counts(operator.seen.values())
            assert truth.covers(whole)
            rows = {row.model: row.counts for row in model_usage(operator.cp)}
            assert sum_counts(rows.values()) == whole
            for model in MODELS:
                # From above alone: what a returned instance used meanwhile has no model.
                used = sum_counts(one.used.get(model, ZERO) for one in self.all)
                assert used.covers(rows.get(model, ZERO))

    def converge(self) -> None:
        """After one round over what lives, nothing that lives is missing."""
        for operator in self.operators:
            for pod in range(len(self.living)):
                self.scrape(operator, pod, 0)
            alive = sum_counts(one.snapshot().totals for one in self.all if one.alive)
            assert totals(operator.cp).covers(alive)
        self.check()
