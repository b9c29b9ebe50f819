"""What the SDK wrote to a container's termination log, as a real API server shows it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.sdk import UsageLedger
from agentspec_usage.sdk.termination_log import TerminationLog
from agentspec_usage.wire.usage_encoding import encode_usage
from tests.fakes.agents import Network
from tests.fakes.raw_agents import Connection, ok
from tests.integration.operator.team import Team, condition, running_at

pytestmark = pytest.mark.usefixtures("watching")

GPT = "openai/gpt-4o"
IMAGE = {"name": "agent", "image": "registry.example/agent", "imageID": "", "ready": False}


def serving(ledger: UsageLedger) -> Connection:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(encode_usage(ledger.snapshots())))
        await writer.drain()

    return connection


def last_words(ledger: UsageLedger, path: Path, *, final: bool) -> str:
    TerminationLog(path).write(ledger.snapshot(final=final))
    return path.read_text()


def ended(message: str, reason: str) -> dict[str, Any]:
    return {"terminated": {"exitCode": 137, "reason": reason, "message": message}}


def test_an_agent_that_was_killed_for_its_memory_lost_nothing_that_it_had_written(
    crew: Team, network: Network, tmp_path: Path
) -> None:
    ledger, again = UsageLedger(), UsageLedger()
    ledger.record(GPT, 100, 20)
    address = network.serve(serving(ledger))
    pod = crew.pod("greedy", address)
    crew.observe("greedy")
    crew.until_shows("greedy", TokenCounts(input=100, output=20, calls=1))
    network.stop(address)
    ledger.record(GPT, 1000, 200)
    words = last_words(ledger, tmp_path / "log", final=False)
    again.record(GPT, 7, 1)
    network.serve(serving(again), address)
    status = running_at(address)
    status["containerStatuses"][0] |= {
        "restartCount": 1,
        "lastState": ended(words, "OOMKilled"),
    }
    crew.set_pod(pod, status)
    crew.until_shows("greedy", TokenCounts(input=1107, output=221, calls=3))


def test_a_job_that_ended_before_it_was_read_again_said_its_end(
    crew: Team, network: Network, tmp_path: Path
) -> None:
    ledger = UsageLedger()
    ledger.record(GPT, 100, 20)
    address = network.serve(serving(ledger))
    pod = crew.pod("done", address)
    crew.observe("done")
    crew.until_shows("done", TokenCounts(input=100, output=20, calls=1))
    network.stop(address)
    ledger.record(GPT, 50, 5)
    words = last_words(ledger, tmp_path / "log", final=True)
    end = {**IMAGE, "restartCount": 0, "state": ended(words, "Completed")}
    crew.set_pod(pod, {"phase": "Succeeded", "containerStatuses": [end]})
    crew.delete_pod(pod)
    crew.until_shows("done", TokenCounts(input=150, output=25, calls=2))
    status = crew.until_condition("done", "Ready", "True", "ScaledToZero")
    assert condition(status, "Complete") == ("True", "Exact")
