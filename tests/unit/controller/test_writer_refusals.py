"""What the writer makes of an API server that refuses, is overloaded, or is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise

import pytest

from agentspec_usage.controller.writer import PreparedWrite, Priority, WriteResult, WriterSettings
from tests.fakes.status_owners import Fleet, now
from tests.fakes.status_port import FakeStatusPort, result
from tests.fakes.virtual_time import run_in_virtual_time

FOLD, CONDITION = Priority.FOLD, Priority.CONDITION


def test_a_429_halves_the_rate_which_recovers_by_itself() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(budget_per_s=20))
        fleet.port.answer("u0", result("throttled", 3))
        for number in range(4000):
            fleet.use(f"u{number}")
        begin = now()
        await fleet.drive(150)

        def written(since: float, until: float) -> int:
            return sum(since <= at - begin < until for at, _ in fleet.port.asked)

        assert written(0.5, 3) == 0
        assert 5 * 10 <= written(3, 8) <= 5 * 12
        assert written(100, 110) == pytest.approx(200, abs=2)
        assert fleet.port.stored["u0"] == {"tokens": 1}
        assert fleet.writer.stats.throttled == 1

    run_in_virtual_time(main)


def test_a_conflict_is_its_owners_to_resolve_and_is_not_repeated() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort())
        fleet.port.answer("u1", result("conflict"))
        await fleet.drive(lambda: fleet.use("u1"), 60)
        assert fleet.kinds("u1") == ["conflict"]
        assert (fleet.writer.stats.conflicts, fleet.writer.stats.dirty) == (1, 0)

    run_in_virtual_time(main)


def test_an_owner_that_submits_again_on_conflict_is_written_next() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort())
        fleet.port.answer("u1", result("conflict"))
        begin = now()
        await fleet.drive(lambda: fleet.use("u1"), 1, lambda: fleet.submit("u1"), 1)
        assert fleet.port.times("u1") == [begin, begin + 1]
        assert fleet.kinds("u1") == ["conflict", "written"]

    run_in_virtual_time(main)


def test_two_writers_in_conflict_over_and_over_slow_down() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort())
        fleet.port.answer("u1", *[result("conflict")] * 1000)
        steps: list[float | Callable[[], object]] = []
        for _ in range(6000):
            steps += [lambda: fleet.submit("u1", CONDITION), 0.01]
        fleet.tokens["u1"] = 1
        await fleet.drive(*steps)
        assert 10 <= len(fleet.port.times("u1")) <= 30

    run_in_virtual_time(main)


def test_a_gone_object_is_forgotten() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort())
        fleet.port.answer("u1", result("gone"))
        await fleet.drive(lambda: fleet.use("u1"), 60)
        assert fleet.kinds("u1") == ["gone"]
        assert fleet.writer.stats.dirty == 0

    run_in_virtual_time(main)


def test_a_forgotten_object_is_not_written() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort())
        await fleet.drive(
            lambda: fleet.use("u1"),
            1,
            lambda: fleet.use("u1"),
            lambda: fleet.writer.forget("u1"),
            60,
        )
        assert len(fleet.port.times("u1")) == 1
        assert fleet.writer.stats.dirty == 0

    run_in_virtual_time(main)


def test_an_object_forgotten_during_its_write_that_comes_back_waits_for_the_end_of_it() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(seconds=5))
        begin = now()
        await fleet.drive(
            lambda: fleet.use("u1"),
            1,
            lambda: fleet.writer.forget("u1"),
            1,
            lambda: fleet.use("u1", priority=CONDITION),
            10,
        )
        assert fleet.port.times("u1") == [begin, begin + 5]

    run_in_virtual_time(main)


def test_an_invalid_write_is_logged_once_and_repeated_after_minutes_while_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort())
        fleet.port.answer("bad", *[result("invalid")] * 5)
        steps: list[float | Callable[[], object]] = []
        for _ in range(3599):
            steps += [lambda: fleet.use("bad", priority=CONDITION), lambda: fleet.use("good"), 1.0]
        with caplog.at_level(logging.ERROR):
            await fleet.drive(*steps)
        pauses = [b - a for a, b in pairwise(fleet.port.times("bad"))][:5]
        assert pauses == sorted(pauses)
        assert pauses[0] >= 15
        assert 120 <= pauses[4] <= 600
        assert len(caplog.records) == 1
        assert len(fleet.port.times("good")) == 3600 / 15
        assert fleet.shown["bad"] == pytest.approx(3599, abs=2)

    run_in_virtual_time(main)


def test_nothing_is_lost_while_the_api_server_is_down_and_all_is_written_when_it_is_back() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(seconds=0.01), WriterSettings(budget_per_s=50))
        fleet.port.down = True
        uids = [f"u{number}" for number in range(200)]
        steps: list[float | Callable[[], object]] = []
        for _ in range(60):
            steps += [lambda: fleet.use(*uids), 1.0]

        def back() -> None:
            fleet.port.down = False

        await fleet.drive(*steps, back, 15 + 200 / 50 + 2)
        assert fleet.shown == dict.fromkeys(uids, 60)
        assert fleet.writer.stats.dirty == 0

    run_in_virtual_time(main)


def test_an_api_server_that_is_down_is_tried_by_one_write_at_a_time_and_ever_less_often() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(seconds=0.01))
        fleet.port.down = True
        for number in range(1000):
            fleet.use(f"u{number}")
        begin = now()
        await fleet.drive(120)
        after_the_first = [at for at, _ in fleet.port.asked if at > begin + 0.1]
        assert 6 <= len(after_the_first) <= 30
        assert all(b - a >= 0.25 for a, b in pairwise(after_the_first))
        assert after_the_first[-1] - after_the_first[-2] >= 7.5
        assert fleet.writer.stats.dirty == 1000

    run_in_virtual_time(main)


def test_an_object_that_always_fails_does_not_keep_the_others_from_being_written() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(concurrency=1))
        fleet.port.answer("poison", *[result("failed")] * 1000)
        fleet.use("poison", priority=FOLD)
        for number in range(100):
            fleet.use(f"u{number}")
        await fleet.drive(20)
        assert len(fleet.port.stored) == 100

    run_in_virtual_time(main)


def test_a_bug_in_rendering_holds_back_that_object_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        def broken() -> PreparedWrite | None:
            raise KeyError("a bug")

        fleet = Fleet(FakeStatusPort())
        outcomes: list[WriteResult] = []
        fleet.writer.submit("broken", FOLD, broken, outcomes.append)
        fleet.use("sound")
        with caplog.at_level(logging.ERROR):
            await fleet.drive(1)
        assert [outcome.kind for outcome in outcomes] == ["invalid"]
        assert fleet.kinds("sound") == ["written"]
        assert "KeyError" in caplog.text

    run_in_virtual_time(main)
