"""A loop is dead when it has been silent for too long, and the event loop's lag is measured."""

from __future__ import annotations

import asyncio

from agentspec_usage.controller.heartbeats import Heartbeats, watch_loop
from tests.fakes.hand_clock import HandClock
from tests.fakes.virtual_time import VirtualClock, run_in_virtual_time


def test_a_loop_that_beats_is_alive_and_one_that_stopped_is_named() -> None:
    clock = HandClock()
    heartbeats = Heartbeats(clock)
    beat_fast = heartbeats.expect("fast", 1.0)
    heartbeats.expect("slow", 60.0)

    clock.pass_seconds(2.9)
    assert heartbeats.silent() == {}

    clock.pass_seconds(0.2)
    assert list(heartbeats.silent()) == ["fast"]
    assert "silent for 3 s, beats every 1 s" in heartbeats.silent()["fast"]

    beat_fast()
    assert heartbeats.silent() == {}


def test_a_loop_that_never_began_is_overdue_as_well() -> None:
    clock = HandClock()
    heartbeats = Heartbeats(clock)
    heartbeats.expect("late", 1.0)
    clock.pass_seconds(10)

    assert list(heartbeats.silent()) == ["late"]


def test_a_loop_that_has_ended_as_it_should_is_not_missed() -> None:
    clock = HandClock()
    heartbeats = Heartbeats(clock)
    heartbeats.expect("done", 1.0)
    heartbeats.forget("done")
    clock.pass_seconds(10)

    assert heartbeats.silent() == {}


def test_the_event_loop_beats_every_period_and_its_lateness_is_observed() -> None:
    class SlowClock(VirtualClock):
        """As if something held the loop for 0.25 s in each period."""

        looks = 0

        def monotonic(self) -> float:
            self.looks += 1
            return super().monotonic() + 0.25 * (self.looks // 2)

    beats: list[int] = []
    lags: list[float] = []

    async def main() -> None:
        loop = asyncio.create_task(
            watch_loop(SlowClock(), lambda: beats.append(1), lags.append, period=1.0)
        )
        await asyncio.sleep(10.5)
        loop.cancel()

    run_in_virtual_time(main)

    assert len(beats) == 10
    assert {round(lag, 6) for lag in lags} == {0.25}
