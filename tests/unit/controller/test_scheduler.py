"""When targets run. Time is virtual, so "at second 1030" is exact and nothing sleeps."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from itertools import pairwise

import pytest

from agentspec_usage.controller.scheduler import Scheduler, SchedulerLimits
from agentspec_usage.runtime.ids import stable_fraction
from tests.fakes.scheduled_work import Runs, drive
from tests.fakes.virtual_time import VirtualClock, run_in_virtual_time


def test_a_target_runs_once_an_interval_on_the_phase_of_its_uid() -> None:
    async def main() -> None:
        runs = Runs()
        scheduler = Scheduler(runs, VirtualClock())
        scheduler.add("u1", "ns", 30)
        await drive(scheduler, 300)
        times = runs.started["u1"]
        assert len(times) == 10
        assert [round(b - a, 6) for a, b in pairwise(times)] == [30] * 9
        assert times[0] % 30 == pytest.approx(stable_fraction("u1") * 30)

    run_in_virtual_time(main)


def test_many_targets_added_at_once_are_spread_over_the_interval() -> None:
    async def main() -> None:
        runs = Runs()
        scheduler = Scheduler(runs, VirtualClock())
        for number in range(3000):
            scheduler.add(f"u{number}", "ns", 30)
        await drive(scheduler, 30)
        per_second = Counter(int(times[0]) for times in runs.started.values())
        assert len(runs.started) == 3000
        assert max(per_second.values()) < 2 * 100

    run_in_virtual_time(main)


def test_a_target_that_is_removed_and_added_again_keeps_its_slots() -> None:
    async def main() -> None:
        runs = Runs()
        scheduler = Scheduler(runs, VirtualClock())
        scheduler.add("u1", "ns", 30)
        await drive(
            scheduler,
            100,
            lambda: scheduler.remove("u1"),
            7,
            lambda: scheduler.add("u1", "ns", 30),
            100,
        )
        assert {round(time % 30, 6) for time in runs.started["u1"]} == {
            round(stable_fraction("u1") * 30, 6)
        }

    run_in_virtual_time(main)


def test_slots_that_pass_during_a_long_run_are_skipped_and_not_made_up_for() -> None:
    async def main() -> None:
        runs = Runs(seconds=70)
        scheduler = Scheduler(runs, VirtualClock())
        scheduler.add("u1", "ns", 30)
        await drive(scheduler, 360)
        times = runs.started["u1"]
        assert [round(b - a, 6) for a, b in pairwise(times)] == [90, 90, 90]

    run_in_virtual_time(main)


def test_a_trigger_runs_a_target_at_once_and_leaves_its_slots_where_they_were() -> None:
    async def main() -> None:
        runs = Runs()
        scheduler = Scheduler(runs, VirtualClock())
        scheduler.add("u1", "ns", 300)
        begin = asyncio.get_running_loop().time()
        await drive(scheduler, 1, lambda: scheduler.trigger("u1"), 300)
        triggered, regular = runs.started["u1"]
        assert triggered == begin + 1
        assert regular % 300 == pytest.approx(stable_fraction("u1") * 300)

    run_in_virtual_time(main)


def test_triggers_that_come_during_a_run_make_one_more_run_after_it() -> None:
    async def main() -> None:
        runs = Runs(seconds=5)
        scheduler = Scheduler(runs, VirtualClock())
        scheduler.add("u1", "ns", 3600)

        def trigger() -> None:
            scheduler.trigger("u1")

        await drive(scheduler, trigger, 1, trigger, trigger, 1, trigger, 20)
        first, second = runs.started["u1"]
        assert second - first == 5

    run_in_virtual_time(main)


def test_a_pause_that_the_work_asks_for_replaces_the_next_slot() -> None:
    async def main() -> None:
        pauses = iter([100.0, None])

        async def back_off(uid: str) -> float | None:
            return next(pauses, None)

        runs = Runs(behave=back_off)
        scheduler = Scheduler(runs, VirtualClock())
        scheduler.add("u1", "ns", 30)
        await drive(scheduler, lambda: scheduler.trigger("u1"), 140)
        first, second, third = runs.started["u1"][:3]
        assert second - first == pytest.approx(100)
        assert third % 30 == pytest.approx(stable_fraction("u1") * 30)

    run_in_virtual_time(main)


def test_a_trigger_cuts_a_pause_short() -> None:
    async def main() -> None:
        async def back_off(uid: str) -> float | None:
            return 600.0

        runs = Runs(behave=back_off)
        scheduler = Scheduler(runs, VirtualClock())
        scheduler.add("u1", "ns", 30)
        await drive(
            scheduler, lambda: scheduler.trigger("u1"), 9, lambda: scheduler.trigger("u1"), 1
        )
        first, second = runs.started["u1"]
        assert second - first == 9

    run_in_virtual_time(main)


def test_a_removed_target_does_not_run_again() -> None:
    async def main() -> None:
        runs = Runs()
        scheduler = Scheduler(runs, VirtualClock())
        scheduler.add("u1", "ns", 30)
        await drive(scheduler, 61, lambda: scheduler.remove("u1"), 300)
        assert len(runs.started["u1"]) == 2
        assert len(scheduler) == 0
        assert "u1" not in scheduler

    run_in_virtual_time(main)


def test_a_target_removed_while_it_waits_does_not_run() -> None:
    async def main() -> None:
        runs = Runs(seconds=10)
        scheduler = Scheduler(runs, VirtualClock(), SchedulerLimits(concurrency=1))
        for uid in ("a", "b"):
            scheduler.add(uid, "ns", 3600)
            scheduler.trigger(uid)
        await drive(scheduler, 1, lambda: scheduler.remove("b"), 30)
        assert list(runs.started) == ["a"]
        assert len(scheduler) == 1

    run_in_virtual_time(main)


def test_a_target_removed_and_added_during_its_run_waits_for_the_run_to_end() -> None:
    async def main() -> None:
        runs = Runs(seconds=10)
        scheduler = Scheduler(runs, VirtualClock())
        scheduler.add("u1", "ns", 3600)
        await drive(
            scheduler,
            lambda: scheduler.trigger("u1"),
            1,
            lambda: scheduler.remove("u1"),
            1,
            lambda: scheduler.add("u1", "ns", 3600),
            30,
        )
        first, second = runs.started["u1"]
        assert second - first == 10
        assert len(scheduler) == 1

    run_in_virtual_time(main)


def test_a_changed_interval_holds_from_the_next_slot_on() -> None:
    async def main() -> None:
        runs = Runs()
        scheduler = Scheduler(runs, VirtualClock())
        scheduler.add("u1", "ns", 3600)
        await drive(scheduler, 10, lambda: scheduler.update("u1", 5), 50)
        times = runs.started["u1"]
        assert len(times) == 10
        assert {round(time % 5, 6) for time in times} == {round(stable_fraction("u1") * 5, 6)}

    run_in_virtual_time(main)


def test_work_that_raises_is_logged_once_and_goes_on_with_longer_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        healthy_from = 6

        async def fail_at_first(uid: str) -> float | None:
            if uid == "broken" and len(runs.started["broken"]) < healthy_from:
                raise KeyError("a bug")
            return None

        errors: list[None] = []
        runs = Runs(behave=fail_at_first)
        scheduler = Scheduler(runs, VirtualClock(), on_error=lambda: errors.append(None))
        scheduler.add("broken", "ns", 10)
        scheduler.add("sound", "ns", 10)
        with caplog.at_level(logging.ERROR):
            await drive(scheduler, 2000)
        times = runs.started["broken"]
        pauses = [b - a for a, b in pairwise(times)]
        assert len(errors) == healthy_from - 1
        assert len(caplog.records) == 1
        assert all(10 <= pause <= 300 for pause in pauses[: healthy_from - 1])
        assert pauses[healthy_from - 2] > pauses[0]
        assert round(pauses[-1], 6) == 10
        assert len(runs.started["sound"]) == 200

    run_in_virtual_time(main)


def test_stopping_lets_the_runs_under_way_end_and_starts_none() -> None:
    async def main() -> None:
        runs = Runs(seconds=10)
        scheduler = Scheduler(runs, VirtualClock(), SchedulerLimits(concurrency=2))
        for number in range(9):
            scheduler.add(f"u{number}", "ns", 3600)
            scheduler.trigger(f"u{number}")
        begin = asyncio.get_running_loop().time()
        await drive(scheduler, 5)
        assert asyncio.get_running_loop().time() == begin + 10
        assert len(runs.order) == 2
        assert not runs.now.total()

    run_in_virtual_time(main)


def test_cancelling_ends_the_runs_under_way() -> None:
    async def main() -> None:
        runs = Runs(seconds=1000)
        scheduler = Scheduler(runs, VirtualClock())
        scheduler.add("u1", "ns", 30)
        scheduler.trigger("u1")
        running = asyncio.create_task(scheduler.run(asyncio.Event()))
        await asyncio.sleep(5)
        begin = asyncio.get_running_loop().time()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.get_running_loop().time() == begin
        assert not runs.now.total()

    run_in_virtual_time(main)


def test_a_storm_of_updates_leaves_one_schedule_for_each_target() -> None:
    async def main() -> None:
        runs = Runs()
        scheduler = Scheduler(runs, VirtualClock())
        for number in range(100):
            scheduler.add(f"u{number}", "ns", 3600)
        for change in range(5000):
            scheduler.update(f"u{change % 100}", 3000 + change)
        await drive(scheduler, 20_000)
        assert len(runs.started) == 100
        assert all(len(times) in (2, 3) for times in runs.started.values())

    run_in_virtual_time(main)
