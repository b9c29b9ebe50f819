"""The program as users run it: usage events survive a stop, and what is told of them holds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.controlplane.processes import ADMIN, ControlPlane, control_plane
from tests.integration.controlplane.waiting import until


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane that flushes as often as it may."""
    with control_plane(tmp_path, "--event-flush-interval=0.25") as running:
        yield running


def send(plane: ControlPlane, key: str, *events: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(
        f"{plane.url}/api/v1/usage/events",
        json={"events": events},
        headers={"Authorization": f"Bearer {key}"},
        timeout=10,
    )
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def event(session: str, **fields: Any) -> dict[str, Any]:
    return {
        "model": "openai/gpt-4o",
        "sessionId": session,
        "inputTokens": 100,
        "outputTokens": 20,
        **fields,
    }


def _flushed(plane: ControlPlane) -> int:
    return sum(line["eventCount"] for line in flushed_lines(plane))


def flushed_lines(plane: ControlPlane) -> list[dict[str, Any]]:
    return [line for line in plane.lines() if line["message"] == "usage.batch_flushed"]


def test_a_stop_writes_every_event_that_was_accepted(plane: ControlPlane) -> None:
    key = plane.register("agent")
    accepted = sum(send(plane, key, *[event(f"s{number}")] * 70)["accepted"] for number in range(5))
    assert plane.terminate() == 0
    lines = flushed_lines(plane)
    assert sum(line["eventCount"] for line in lines) == accepted == 350
    assert {line["level"] for line in plane.lines()} <= {"info"}
    plane.start()
    billing = plane.get("/api/v1/usage/billing", headers=ADMIN).json()
    assert (billing["requestCount"], billing["totalTokens"]) == (350, 350 * 120)
    assert billing["unpricedCount"] == 0


def test_what_is_logged_of_a_batch_is_what_the_endpoint_says_and_verify_proves(
    plane: ControlPlane,
) -> None:
    key = plane.register("agent")
    send(plane, key, event("s", runId="r1"), event("s", runId="r2", totalTokens=500))
    until(lambda: len(flushed_lines(plane)) == 2, "two batches were flushed")
    for line in flushed_lines(plane):
        answer = plane.get(f"/api/v1/usage/batches/{line['batchId']}", headers=ADMIN).json()
        assert answer["verified"]
        for name in ("batchHash", "totalTokens", "costs", "models", "agents", "runId"):
            assert answer[name] == line[name], name
        assert answer["costs"]["USD"] == answer["totalCost"]
    assert plane.terminate() == 0
    verified = subprocess.run(
        [
            *(sys.executable, "-m", "agentspec_usage.cli.main", "verify"),
            *("--database", str(plane.database)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_after_a_kill_no_event_is_counted_twice_and_the_chain_goes_on(
    plane: ControlPlane,
) -> None:
    """What was in memory is lost with the process: events promise no more."""
    key = plane.register("agent")
    send(plane, key, *[event("s")] * 100)
    until(lambda: flushed_lines(plane), "a full portion was flushed")
    send(plane, key, *[event("s")] * 5)
    plane.kill()
    plane.start()
    send(plane, key, *[event("s")] * 100)
    until(lambda: _flushed(plane) in (200, 205), "a second portion was flushed")
    last = flushed_lines(plane)[-1]["batchId"]
    answer = plane.get(f"/api/v1/usage/batches/{last}", headers=ADMIN).json()
    assert answer["verified"]
    billing = plane.get("/api/v1/usage/billing", headers=ADMIN).json()
    assert billing["requestCount"] in (200, 205)
