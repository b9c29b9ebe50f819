"""Who runs when more is due than may run."""

from __future__ import annotations

import asyncio

from agentspec_usage.controller.scheduler import Scheduler, SchedulerLimits
from tests.fakes.scheduled_work import Runs, drive
from tests.fakes.virtual_time import VirtualClock, run_in_virtual_time


def test_no_more_runs_at_once_than_the_concurrency() -> None:
    async def main() -> None:
        runs = Runs(seconds=10)
        scheduler = Scheduler(runs, VirtualClock(), SchedulerLimits(concurrency=7))
        for number in range(50):
            scheduler.add(f"u{number}", f"ns{number % 5}", 3600)
            scheduler.trigger(f"u{number}")
        assert (scheduler.running, scheduler.waiting) == (7, 43)
        await drive(scheduler, 90)
        assert runs.most_at_once == 7
        assert len(runs.started) == 50
        assert (scheduler.running, scheduler.waiting) == (0, 0)

    run_in_virtual_time(main)


def test_a_namespace_of_dead_agents_holds_back_itself_alone() -> None:
    async def main() -> None:
        async def hang_if_dead(uid: str) -> float | None:
            if uid.startswith("dead"):
                await asyncio.sleep(10)
            return None

        late: list[float] = []
        runs = Runs(behave=hang_if_dead)
        limits = SchedulerLimits(concurrency=8, per_namespace=4)
        scheduler = Scheduler(runs, VirtualClock(), limits, on_late=late.append)
        for number in range(100):
            scheduler.add(f"dead{number}", "team-a", 30)
        for number in range(100):
            scheduler.add(f"alive{number}", "team-b", 30)
        await drive(scheduler, 120)
        alive = [times for uid, times in runs.started.items() if uid.startswith("alive")]
        dead = [times for uid, times in runs.started.items() if uid.startswith("dead")]
        assert [len(times) for times in alive] == [4] * 100
        assert sum(len(times) for times in dead) <= 4 * 12 + 4

    run_in_virtual_time(main)


def test_namespaces_are_served_in_turn_however_many_wait_in_each() -> None:
    async def main() -> None:
        runs = Runs(seconds=1)
        scheduler = Scheduler(runs, VirtualClock(), SchedulerLimits(concurrency=1))
        for number in range(20):
            scheduler.add(f"large{number}", "large", 3600)
            scheduler.trigger(f"large{number}")
        scheduler.add("small", "small", 3600)
        scheduler.trigger("small")
        await drive(scheduler, 30)
        # One run was given out before the small namespace came, and the next turn was taken.
        assert runs.order.index("small") <= 2

    run_in_virtual_time(main)


def test_within_a_namespace_who_was_due_first_runs_first() -> None:
    async def main() -> None:
        runs = Runs(seconds=1)
        scheduler = Scheduler(runs, VirtualClock(), SchedulerLimits(concurrency=1))
        wanted = [f"u{number}" for number in range(10)]
        for uid in wanted:
            scheduler.add(uid, "ns", 3600)
            scheduler.trigger(uid)
        await drive(scheduler, 12)
        assert runs.order[:10] == wanted

    run_in_virtual_time(main)


def test_lateness_is_the_time_from_due_to_start() -> None:
    async def main() -> None:
        late: list[float] = []
        runs = Runs(seconds=5)
        limits = SchedulerLimits(concurrency=1)
        scheduler = Scheduler(runs, VirtualClock(), limits, on_late=late.append)
        for uid in ("a", "b", "c"):
            scheduler.add(uid, "ns", 3600)
            scheduler.trigger(uid)
        await drive(scheduler, 16)
        assert late == [0, 5, 10]

    run_in_virtual_time(main)
