"""Two operators with stale views over one object: the checkpoint beside the truth.

The world of ``checkpoint_world`` (processes, pods, readings that arrive again and late, mistaken
folds, writes that conflict, crashes) under a state machine, and beside it pods with two endpoints
that tell of the same calls.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agentspec_usage.metering.checkpoint import (
    Source,
    choose_source,
    new_checkpoint,
    observe,
    source_of,
    totals,
)
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.snapshot import Observer, UsageReading, UsageSnapshot
from agentspec_usage.wire.writer_state import pack, unpack
from tests.simulation.checkpoint_world import KINDS, Step, World
from tests.simulation.laws import Violated, hold
from tests.unit.metering.readings import numbered_id, numbered_pod

__all__ = ["CheckpointMachine", "SourceMachine"]

WHO, WHICH, AMOUNT = st.integers(0, 1), st.integers(0, 7), st.integers(1, 9)

STEPS = st.lists(
    st.builds(Step, st.sampled_from(KINDS), WHO, WHICH, AMOUNT), min_size=4, max_size=8
)


class CheckpointMachine(RuleBasedStateMachine):
    """Stretches of steps rather than steps: a lost tombstone shows only after read, fold, write,
    crash and read again.
    """

    world: World

    @initialize()
    def begin(self) -> None:
        self.world = World()

    @rule(steps=STEPS)
    def happens(self, steps: list[Step]) -> None:
        for step in steps:
            try:
                self.world.run(step)
            except AssertionError as error:
                raise Violated("I7", f"{step}: {error}") from error

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.converge()
            except AssertionError as error:
                raise Violated("I7", str(error)) from error


class SourceMachine(RuleBasedStateMachine):
    """A pod whose sidecar and whose agent both serve what the agent used; either may be away."""

    @initialize()
    def begin(self) -> None:
        self.pod = numbered_pod(1)
        self.used = TokenCounts()
        self.cp = new_checkpoint("e1")
        self.written = pack(self.cp)[1]
        self.away: set[Source] = set()
        self.now = 1_000_000

    @rule(amount=AMOUNT)
    def use(self, amount: int) -> None:
        self.used += TokenCounts(input=amount, calls=1)

    @rule(source=st.sampled_from(Source), away=st.booleans())
    def goes_away(self, source: Source, away: bool) -> None:
        (self.away.add if away else self.away.discard)(source)

    @rule()
    def read(self) -> None:
        """The sidecar is preferred, where the choice is still to be made."""
        self.now += 1000
        wanted = Source.AGENT if Source.SIDECAR in self.away else Source.SIDECAR
        self.cp = choose_source(self.cp, self.pod.uid, wanted)
        source = source_of(self.cp, self.pod.uid)
        if source is None or source in self.away:
            return
        sidecar = source is Source.SIDECAR
        snapshot = UsageSnapshot(
            self.used,
            instance_id=numbered_id(1 + sidecar),
            observer=Observer.SIDECAR if sidecar else Observer.SDK,
            via=None if sidecar else "sidecar",
        )
        self.cp = observe(self.cp, self.pod, UsageReading((snapshot,)), self.now)

    @rule(restart=st.booleans())
    def write_or_restart(self, restart: bool) -> None:
        if restart:
            self.cp = unpack(self.written)
        else:
            self.cp, self.written = pack(self.cp)

    @invariant()
    def holds(self) -> None:
        counted = totals(self.cp)
        hold("I7", self.used.covers(counted), f"counted {counted} of {self.used}")
