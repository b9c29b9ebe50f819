"""Programs of what can happen to usage on its three ways and to the periods that close over it."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agentspec_usage.metering.frame import BUCKET_MS, bucket_of
from tests.simulation.tail_world import AGENTS, MODELS, Instance, TailWorld

__all__ = ["TailMachine"]

which = st.integers(0, 3)
names = st.sampled_from([0, 0, 0, 1, 1, 2])
"""As which of ``AGENTS`` something is seen."""


class TailMachine(RuleBasedStateMachine):
    """Instances that deliver, are looked at, or both; a store that charges what it never got."""

    world: TailWorld

    @initialize()
    def begin(self) -> None:
        self.world = TailWorld()

    def instance(self, number: int) -> Instance:
        return self.world.instances[number % len(self.world.instances)]

    @rule(
        number=which,
        calls=st.lists(
            st.tuples(st.integers(0, len(MODELS) - 1), st.integers(1, 9), st.integers(0, 9)),
            min_size=1,
            max_size=5,
        ),
    )
    def call(self, number: int, calls: list[tuple[int, int, int]]) -> None:
        for model, tokens, cached in calls:
            self.world.call(self.instance(number), model, tokens, cached)

    @rule(
        number=which,
        calls=st.sampled_from([1, 1, 2, 3, 6]),
        pieces=st.integers(1, 3),
        fate=st.sampled_from(["heard", "heard", "heard", "not heard", "undone"]),
    )
    def deliver(self, number: int, calls: int, pieces: int, fate: str) -> None:
        self.world.deliver(
            self.instance(number),
            calls,
            pieces,
            committed=fate != "undone",
            heard=fate == "heard",
        )

    @rule(
        number=which,
        back=st.sampled_from([0, 0, 1, 5]),
        shown=st.sampled_from([9, 9, 1, 0]),
        ago=st.sampled_from([None, None, 0, 1, 2, -1]),
        via=st.sampled_from([None, None, None, "sidecar"]),
        name=names,
    )
    def tell(
        self, number: int, back: int, shown: int, ago: int | None, via: str | None, name: int
    ) -> None:
        """A snapshot, new or of some calls ago, by the operator where it was read some time ago."""
        world, instance = self.world, self.instance(number)
        seen_at = None if ago is None else world.now - ago * BUCKET_MS
        seq = max(len(instance.calls) - back, 0)
        world.tell(instance, seq, shown, seen_at=seen_at, via=via, agent=AGENTS[name])

    @rule(number=which, calls=st.integers(2, 5), model=which, after=st.integers(0, 3), name=names)
    def cannot_deliver(self, number: int, calls: int, model: int, after: int, name: int) -> None:
        """An outage that lasts until what was told is charged; then it gives way."""
        world, instance = self.world, self.instance(number)
        for tokens in range(1, calls + 1):
            world.call(instance, model % len(MODELS), tokens, cached=tokens // 2)
        world.tell(instance, len(instance.calls), 9, seen_at=None, via=None, agent=AGENTS[name])
        world.now += BUCKET_MS
        world.settle(bucket_of(world.now))
        world.deliver(instance, after, 1, committed=True, heard=True)

    @rule(
        calls=st.integers(1, 4),
        model=which,
        ends=st.sampled_from(["settled", "closed", "neither"]),
        after=st.integers(0, 3),
    )
    def is_seen_by_another_name(self, calls: int, model: int, ends: str, after: int) -> None:
        """A process is known as somebody else before it delivers its first calls."""
        world = self.world
        world.start()
        instance = world.instances[-1]
        for tokens in range(1, calls + 1):
            world.call(instance, model % len(MODELS), tokens, cached=tokens // 2)
        world.tell(instance, calls, 9, seen_at=world.now, via=None, agent=AGENTS[1])
        world.now += BUCKET_MS
        if ends == "settled":
            world.settle(bucket_of(world.now))
        elif ends == "closed":
            world.close_period(bucket_of(world.now))
        world.deliver(instance, after, 1, committed=True, heard=True)

    @rule(start=st.integers(0, 2), tokens=st.integers(0, 9), ago=st.integers(0, 1), name=names)
    def tell_window(self, start: int, tokens: int, ago: int, name: int) -> None:
        seen_at = self.world.now - ago * BUCKET_MS
        self.world.tell_window(start, tokens, seen_at, AGENTS[name])

    @rule(minutes=st.sampled_from([1, 20, 600]))
    def wait(self, minutes: int) -> None:
        self.world.now += minutes * 60_000

    @rule(ago=st.sampled_from([0, 0, 1, 2]), minutes=st.sampled_from([0, 15, 15]))
    def close(self, ago: int, minutes: int) -> None:
        self.world.now += minutes * 60_000
        self.world.close_period(bucket_of(self.world.now) - ago * BUCKET_MS)

    @rule(ago=st.sampled_from([0, 0, 1, 2]), minutes=st.sampled_from([0, 15, 15]))
    def settle(self, ago: int, minutes: int) -> None:
        self.world.now += minutes * 60_000
        self.world.settle(bucket_of(self.world.now) - ago * BUCKET_MS)

    @rule(what=st.sampled_from(["start", "back up", "restore"]))
    def begin_anew(self, what: str) -> None:
        if what == "start":
            self.world.start()
        elif what == "restore":
            self.world.restore()
        else:
            self.world.back_up()

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.finish()
            finally:
                self.world.close()
