"""Programs of what can happen to agents and their frames, for Hypothesis to write and to shrink.

Few rules with many fates, not a rule for each: most steps of a program then count and deliver
something, and a run of thirty reaches the states in which faults matter.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentspec_usage.metering.record import CallStatus
from tests.simulation.delivery_world import AgentProcess, DeliveryWorld
from tests.simulation.frame_store import FrameStore, MemoryStore
from tests.simulation.sqlite_store import SqliteFrameStore

__all__ = ["DeliveryMachine", "SqliteMachine"]

which = st.integers(0, 5)

FATES = ("arrives", "arrives", "arrives", "lost", "answer lost", "twice", "before", "after")


class DeliveryMachine(RuleBasedStateMachine):
    """Agents and a store, with faults between any two of their steps."""

    world: DeliveryWorld

    def empty_store(self) -> FrameStore:
        """The store under test: another one is a subclass away."""
        return MemoryStore()

    @initialize()
    def begin(self) -> None:
        self.world = DeliveryWorld(self.empty_store())

    def process(self, number: int) -> AgentProcess:
        return self.world.processes[number % len(self.world.processes)]

    @rule(
        number=which,
        amounts=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=6),
        status=st.sampled_from([CallStatus.OK, *CallStatus]),
    )
    def call(self, number: int, amounts: list[tuple[int, int]], status: CallStatus) -> None:
        for model, amount in amounts:
            self.world.call(self.process(number), model, amount, status)

    @rule(number=which, fate=st.sampled_from(FATES))
    def send(self, number: int, fate: str) -> None:
        """One frame goes out, and what happens to it."""
        world = self.world
        message = world.send(self.process(number))
        if message is None or fate == "lost":
            return
        world.arrive(message, crash=fate if fate in ("before", "after") else "")
        if fate == "twice":
            world.arrive(message)
        if fate != "answer lost":
            world.hear(message)

    @precondition(lambda self: self.world.messages)
    @rule(number=st.integers(0, 20), heard=st.booleans())
    def arrive_late(self, number: int, heard: bool) -> None:
        """Any message of the past arrives, or arrives again; so may its answer."""
        message = self.world.messages[-1 - number % len(self.world.messages)]
        self.world.arrive(message)
        if heard:
            self.world.hear(message)

    @precondition(lambda self: self.world.messages)
    @rule(number=st.integers(0, 20))
    def hear_late(self, number: int) -> None:
        self.world.hear(self.world.messages[-1 - number % len(self.world.messages)])

    @rule(number=which)
    def heartbeat(self, number: int) -> None:
        self.world.heartbeat(self.process(number))

    @rule(number=which, end=st.sampled_from(["crash", "stop", "finish", "fork", "start"]))
    def live_and_die(self, number: int, end: str) -> None:
        world, process = self.world, self.process(number)
        if end == "start":
            world.start()
        elif end == "fork":
            world.fork(process)
        elif end == "crash":
            world.crash(process)
        elif end == "stop":
            world.stop(process)
        elif process.alive:
            world.finish(process)

    @rule(restore=st.booleans())
    def back_up_or_restore(self, restore: bool) -> None:
        if restore:
            self.world.restore()
        else:
            self.world.store.back_up()

    @rule(seconds=st.sampled_from([-3600, -1, 1, 60, 900]))
    def step_clock(self, seconds: int) -> None:
        self.world.step_clock(seconds)

    @rule(
        number=which,
        reader=st.integers(0, 1),
        fate=st.sampled_from(["arrives", "arrives", "lost", "answer lost"]),
    )
    def drain_window(self, number: int, reader: int, fate: str) -> None:
        self.world.drain_window(
            self.process(number), reader, arrives=fate != "lost", heard=fate == "arrives"
        )

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.converge_windows()
                self.world.converge()
            finally:
                self.world.store.close()


class SqliteMachine(DeliveryMachine):
    """The same agents and faults, and the store that is shipped."""

    def empty_store(self) -> FrameStore:
        return SqliteFrameStore()
