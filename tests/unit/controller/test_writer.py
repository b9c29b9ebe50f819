"""What is written, when, and in which order. Time is virtual, the API server a fake."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from itertools import pairwise

import pytest

from agentspec_usage.controller.writer import PreparedWrite, Priority, WriterSettings
from tests.fakes.status_owners import Fleet, now
from tests.fakes.status_port import FakeStatusPort
from tests.fakes.virtual_time import run_in_virtual_time

FOLD, CONDITION, TOKENS = Priority.FOLD, Priority.CONDITION, Priority.TOKENS
MONEY = Priority.MONEY


def test_a_first_write_goes_at_once() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort())
        begin = now()
        await fleet.drive(lambda: fleet.use("u1", tokens=5), 1)
        assert fleet.port.times("u1") == [begin]
        assert fleet.port.stored["u1"] == {"tokens": 5}

    run_in_virtual_time(main)


def test_tokens_of_an_object_are_written_at_most_once_per_minimum_interval() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(min_interval=15))
        steps: list[float | Callable[[], object]] = []
        for _ in range(59):
            steps += [lambda: fleet.use("u1"), 1.0]
        await fleet.drive(*steps)
        assert [b - a for a, b in pairwise(fleet.port.times("u1"))] == [15, 15, 15]

    run_in_virtual_time(main)


@pytest.mark.parametrize("priority", [FOLD, CONDITION], ids=["fold", "condition"])
def test_what_is_more_than_tokens_does_not_wait_for_the_minimum_interval(
    priority: Priority,
) -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort())
        begin = now()
        await fleet.drive(
            lambda: fleet.use("u1"),
            2,
            lambda: fleet.use("u1"),
            2,
            lambda: fleet.use("u1", priority=priority),
            1,
        )
        assert fleet.port.times("u1") == [begin, begin + 4]
        assert fleet.port.stored["u1"] == {"tokens": 3}

    run_in_virtual_time(main)


def test_money_alone_is_written_at_most_once_a_minute_and_goes_with_tokens_sooner() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(min_interval=15, money_interval=60))
        begin = now()
        steps: list[float | Callable[[], object]] = []
        for _ in range(130):
            steps += [lambda: fleet.use("u1", priority=MONEY), 1.0]
        await fleet.drive(*steps, lambda: fleet.use("u1"), 20)
        assert fleet.port.times("u1") == [begin, begin + 60, begin + 120, begin + 135]

    run_in_virtual_time(main)


def test_tokens_wait_for_what_comes_with_them_and_conditions_do_not() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(min_interval=15, settle=3))
        begin = now()
        await fleet.drive(
            lambda: fleet.use("u1"),
            2,
            lambda: fleet.use("u1", priority=MONEY),
            lambda: fleet.use("u2", priority=CONDITION),
            30,
            lambda: fleet.use("u1", priority=MONEY),
            2,
            lambda: fleet.use("u1"),
            20,
        )
        assert fleet.port.times("u2") == [begin + 2]
        # The money that was there before the tokens does not hurry them: theirs is on its way.
        assert fleet.port.times("u1") == [begin + 3, begin + 37]

    run_in_virtual_time(main)


def test_money_goes_after_tokens_that_are_due() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(budget_per_s=1, concurrency=1))
        await fleet.drive(
            lambda: fleet.use("first"),
            lambda: fleet.use("money", priority=MONEY),
            lambda: fleet.use("tokens"),
            10,
        )
        assert [uid for _, uid in fleet.port.asked] == ["first", "tokens", "money"]

    run_in_virtual_time(main)


def test_a_write_carries_everything_that_happened_until_it_is_sent() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort())
        steps = [lambda: fleet.use("u1", tokens=10)] * 9
        await fleet.drive(*steps, 20)
        assert len(fleet.port.asked) == 1
        assert fleet.port.stored["u1"] == {"tokens": 90}

    run_in_virtual_time(main)


def test_nothing_is_sent_when_nothing_is_left_to_write() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort())
        fleet.shown["idle"] = fleet.tokens["idle"] = 7
        await fleet.drive(lambda: fleet.submit("idle", CONDITION), 60)
        assert not fleet.port.asked
        assert fleet.kinds("idle") == []

    run_in_virtual_time(main)


def test_a_suppressed_write_costs_no_budget() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(budget_per_s=2))
        begin = now()
        for number in range(20):
            fleet.shown[f"idle{number}"] = 0
            fleet.submit(f"idle{number}", FOLD)
        fleet.use("busy")
        await fleet.drive(1)
        assert fleet.port.times("busy") == [begin]
        assert fleet.writer.stats.suppressed == 20
        assert fleet.writer.stats.dirty == 0

    run_in_virtual_time(main)


def test_tokens_used_during_a_write_are_written_afterwards() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(seconds=3))
        begin = now()
        await fleet.drive(lambda: fleet.use("u1"), 1, lambda: fleet.use("u1"), 30)
        assert fleet.port.times("u1") == [begin, begin + 15]
        assert fleet.port.stored["u1"] == {"tokens": 2}

    run_in_virtual_time(main)


def test_one_object_is_never_written_twice_at_once() -> None:
    async def main() -> None:
        # The fake fails a second write of an object that is under way.
        fleet = Fleet(FakeStatusPort(seconds=3))

        def condition() -> None:
            fleet.use("u1", priority=CONDITION)

        await fleet.drive(condition, 1, condition, 1, condition, 30)
        assert [b - a for a, b in pairwise(fleet.port.times("u1"))] == [3]
        assert fleet.port.stored["u1"] == {"tokens": 3}

    run_in_virtual_time(main)


def test_no_more_writes_are_under_way_than_the_concurrency() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(seconds=2), WriterSettings(concurrency=3))
        for number in range(20):
            fleet.use(f"u{number}")
        await fleet.drive(30)
        assert fleet.port.most_at_once == 3
        assert len(fleet.port.stored) == 20

    run_in_virtual_time(main)


def test_writes_keep_to_the_budget_however_many_objects_are_dirty() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(budget_per_s=10))
        for number in range(1000):
            fleet.use(f"u{number}")
        begin = now()
        await fleet.drive(30)
        per_second = [
            sum(1 for at, _ in fleet.port.asked if int(at - begin) == s) for s in range(30)
        ]
        assert per_second[0] <= 20
        assert all(count <= 10 for count in per_second[1:])
        assert sum(per_second) >= 300

    run_in_virtual_time(main)


def test_when_the_budget_is_short_every_busy_object_gets_its_share() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(budget_per_s=10))
        uids = [f"u{number}" for number in range(300)]
        steps: list[float | Callable[[], object]] = []
        for _ in range(300):
            steps += [lambda: fleet.use(*uids), 1.0]
        await fleet.drive(*steps)
        writes = [len(fleet.port.times(uid)) for uid in uids]
        assert min(writes) >= 9
        assert max(writes) - min(writes) <= 2

    run_in_virtual_time(main)


def test_folds_go_before_conditions_and_conditions_before_tokens() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(concurrency=1))
        for priority in (TOKENS, CONDITION, FOLD):
            for number in range(3):
                fleet.use(f"{priority.name}{number}", priority=priority)
        await fleet.drive(5)
        assert [uid for _, uid in fleet.port.asked] == [
            f"{name}{number}" for name in ("FOLD", "CONDITION", "TOKENS") for number in range(3)
        ]

    run_in_virtual_time(main)


def test_a_later_fold_raises_the_place_of_an_object_that_waits_with_tokens() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(concurrency=1))
        for uid in ("a", "b", "c"):
            fleet.use(uid)
        fleet.use("c", priority=FOLD)
        fleet.use("c", priority=TOKENS)
        await fleet.drive(5)
        assert [uid for _, uid in fleet.port.asked] == ["c", "a", "b"]

    run_in_virtual_time(main)


def test_an_object_that_is_never_heard_of_again_is_let_go() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(budget_per_s=1000))

        def render() -> PreparedWrite | None:
            return None

        held = weakref.ref(render)
        fleet.writer.submit("deleted", FOLD, render, lambda _result: None)
        del render
        await fleet.drive(
            1,
            lambda: fleet.use(*[f"u{number}" for number in range(5000)]),
            30,
            lambda: fleet.use(*[f"v{number}" for number in range(5000)]),
            30,
        )
        assert held() is None
        assert len(fleet.port.stored) == 10_000

    run_in_virtual_time(main)
