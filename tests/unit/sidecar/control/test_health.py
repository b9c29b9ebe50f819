"""Health says what is true: degraded where counting suffers, never unavailable for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.sidecar.budget.limits import BudgetLimits
from agentspec_usage.sidecar.budget.pod import PodBudget
from agentspec_usage.sidecar.calls import LedgerFacts
from agentspec_usage.wire.heartbeat import HealthPhase, decode_heartbeat
from agentspec_usage.wire.heartbeat_encoding import encode_heartbeat
from tests.unit.sidecar.control.ports import Sidecar, spoken_to

FINE = LedgerFacts("a" * 32, durable_file=True)


def checks(answer: httpx.Response) -> dict[str, str]:
    return {check["id"]: check["status"] for check in answer.json()["checks"]}


async def test_a_sidecar_lives(http: httpx.AsyncClient) -> None:
    answer = await http.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


async def test_a_sidecar_with_nothing_wrong_is_ready(
    sidecar: Sidecar, http: httpx.AsyncClient
) -> None:
    answer = await http.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert answer.json()["timestamp"] == to_rfc3339(sidecar.clock.now())
    assert answer.json()["summary"] == {"passed": 3, "warnings": 0, "failed": 0}
    assert checks(answer) == dict.fromkeys(["ledger", "usage-log", "budget-file"], "pass")
    assert not {"score", "grade", "violations"} & set(answer.json())


@pytest.mark.parametrize(
    ("changes", "status", "check"),
    [
        pytest.param(
            {"fault": "No space left on device"}, "degraded", ("ledger", "fail"), id="a full disk"
        ),
        pytest.param(
            {"durable_file": False}, "ready", ("ledger-file", "warn"), id="no volume, as configured"
        ),
        pytest.param({"backlog": 7}, "ready", ("forwarding", "pass"), id="a backlog"),
        pytest.param(
            {"backlog": 7, "forward_error": "connection refused"},
            "degraded",
            ("forwarding", "fail"),
            id="no control plane",
        ),
    ],
)
async def test_a_fault_of_the_accounting_is_shown_and_takes_no_traffic_away(
    sidecar: Sidecar,
    http: httpx.AsyncClient,
    changes: dict[str, Any],
    status: str,
    check: tuple[str, str],
) -> None:
    sidecar.ledger.facts_now = replace(FINE, **changes)
    answer = await http.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["status"] == status
    assert check in checks(answer).items()


async def test_a_budget_without_a_volume_is_told_and_no_fault(sidecar: Sidecar) -> None:
    limits = BudgetLimits.model_validate({"hardTokens": 5})
    budget = PodBudget(limits, None, sidecar.clock, sidecar.audit.announce)
    parts = replace(sidecar.parts, budget=budget)
    async with spoken_to(replace(sidecar, parts=parts)) as http:
        answer = await http.get("/health/ready")
    assert answer.json()["status"] == "ready"
    assert checks(answer)["budget-file"] == "warn"


@pytest.mark.parametrize(
    ("fault", "phase"), [("", HealthPhase.HEALTHY), ("full", HealthPhase.DEGRADED)]
)
async def test_a_heartbeat_can_carry_it(
    sidecar: Sidecar, http: httpx.AsyncClient, fault: str, phase: HealthPhase
) -> None:
    sidecar.ledger.facts_now = replace(FINE, fault=fault)
    health = (await http.get("/health/ready")).json()
    heartbeat = decode_heartbeat(encode_heartbeat(health, {}, [sidecar.ledger.snapshot()]))
    assert heartbeat.phase is phase
    assert heartbeat.grade is None
