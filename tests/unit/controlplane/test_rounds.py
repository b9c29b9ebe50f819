"""Work beside the serving survives its own faults, and says that it had them."""

from __future__ import annotations

import asyncio

import pytest

from agentspec_usage.controlplane.rounds import every


async def test_a_fault_in_one_round_is_logged_and_the_next_round_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rounds: list[int] = []
    twice = asyncio.Event()

    async def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            raise ZeroDivisionError
        twice.set()

    task = asyncio.create_task(every(0.001, work, "checkpoints"))
    await asyncio.wait_for(twice.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (record,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert vars(record)["work"] == "checkpoints"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
