"""What is still written when the operator is told to go."""

from __future__ import annotations

import asyncio

import pytest

from agentspec_usage.controller.writer import WriterSettings
from tests.fakes.status_owners import Fleet, now
from tests.fakes.status_port import FakeStatusPort, result
from tests.fakes.virtual_time import run_in_virtual_time


def test_a_flush_writes_what_waits_for_its_minimum_interval() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(seconds=0.1))
        uids = [f"u{number}" for number in range(30)]

        def all_use() -> None:
            for uid in uids:
                fleet.use(uid)

        stop = asyncio.Event()
        running = asyncio.create_task(fleet.writer.run(stop))
        all_use()
        await asyncio.sleep(2)
        all_use()
        begin = now()
        assert await fleet.writer.flush(20) == 0
        assert now() - begin < 5
        assert fleet.shown == dict.fromkeys(uids, 2)
        stop.set()
        await running

    run_in_virtual_time(main)


def test_a_flush_ends_at_its_deadline_and_says_how_much_is_left() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(), WriterSettings(budget_per_s=10))
        for number in range(500):
            fleet.use(f"u{number}")
        stop = asyncio.Event()
        running = asyncio.create_task(fleet.writer.run(stop))
        begin = now()
        left = await fleet.writer.flush(20)
        assert now() - begin == pytest.approx(20)
        assert left == 500 - len(fleet.port.stored)
        assert len(fleet.port.stored) >= 200
        stop.set()
        await running

    run_in_virtual_time(main)


def test_a_flush_does_not_wait_for_what_the_api_server_refuses_as_invalid() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort())
        fleet.port.answer("bad", *[result("invalid")] * 100)
        fleet.use("bad")
        fleet.use("good")
        stop = asyncio.Event()
        running = asyncio.create_task(fleet.writer.run(stop))
        begin = now()
        assert await fleet.writer.flush(20) == 1
        assert now() - begin < 1
        assert fleet.kinds("good") == ["written"]
        stop.set()
        await running

    run_in_virtual_time(main)


def test_stopping_waits_for_the_writes_under_way() -> None:
    async def main() -> None:
        fleet = Fleet(FakeStatusPort(seconds=4))
        begin = now()
        await fleet.drive(lambda: fleet.use("u1"), 1)
        assert now() == begin + 4
        assert fleet.kinds("u1") == ["written"]

    run_in_virtual_time(main)
