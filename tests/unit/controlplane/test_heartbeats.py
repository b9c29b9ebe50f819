"""Heartbeats of both dialects, and how often they may come."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.snapshot import Observer, UsageSnapshot
from agentspec_usage.store.sql.schema import MIGRATIONS
from agentspec_usage.wire.heartbeat_encoding import MAX_HEARTBEAT, encode_heartbeat
from tests.unit.controlplane.planes import ADMIN, Plane, beat, running_plane
from tests.unit.store.values import INSTANCE, OTHER_INSTANCE, apply, frame

TOTALS = next(part for part in MIGRATIONS[0].split(";") if "TABLE instance_totals" in part)
SDK = {"health": {"status": "degraded"}, "gap": {"overallScore": 62, "violations": ["a"]}}
SIDECAR = {"health": {"status": "ready"}, "gap": {"score": 95, "issues": []}}


async def rows_of(plane: Plane) -> list[dict[str, Any]]:
    return list((await plane.http.get("/agents", headers=ADMIN)).json())


@pytest.mark.parametrize(
    ("body", "phase", "grade"),
    [
        pytest.param(SDK, "Degraded", "C", id="SDK"),
        pytest.param(SIDECAR, "Healthy", "A", id="sidecar"),
        pytest.param({"health": {}, "gap": {}}, "Unknown", None, id="says nothing"),
    ],
)
async def test_a_heartbeat_of_agentspecs_dialect_is_answered_without_a_body(
    plane: Plane, body: dict[str, Any], phase: str, grade: str | None
) -> None:
    answer = await plane.http.post("/heartbeat", json=body, headers=await plane.bearer())
    assert (answer.status_code, answer.content) == (204, b"")
    (row,) = await rows_of(plane)
    assert (row["phase"], row["grade"]) == (phase, grade)
    assert row["lastSeen"] == "2026-09-21T14:13:20.000Z"


async def test_one_with_an_instance_is_told_where_its_calls_stand_and_where_to_send_them(
    plane: Plane,
) -> None:
    headers = await plane.bearer()
    (agent,) = [summary.agent for summary in await plane.store.agents()]
    await apply(plane.store, agent, frame(0, 3))
    answer = await plane.http.post("/heartbeat", content=beat(), headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {"durable": 3, "records": "/api/v1/usage/records"}


async def test_usage_that_does_not_decode_never_costs_the_phase(plane: Plane) -> None:
    body = {**SDK, "usage": {"models": [{"modelId": "gpt", "promptTokens": -1}]}}
    answer = await plane.http.post("/heartbeat", json=body, headers=await plane.bearer())
    assert answer.status_code == 204
    assert answer.headers["x-agentspec-usage-refused"].startswith("usage.models[0].promptTokens: ")
    assert plane.counted("agentspec_heartbeat_usage_refused_total") == 1
    (row,) = await rows_of(plane)
    assert row["phase"] == "Degraded"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(b"{", None, id="no JSON"),
        pytest.param(b"[]", None, id="no object"),
        pytest.param(b'{"gap": {}}', "health", id="no health"),
        pytest.param(b'{"health": {}}', "gap", id="no gap"),
        pytest.param(b'{"health": "ok", "gap": {}}', "health", id="health is a text"),
        pytest.param(b'{"health": {}, "health": {}, "gap": {}}', None, id="twice the same key"),
        pytest.param(b'{"health": {"n": NaN}, "gap": {}}', None, id="NaN"),
    ],
)
async def test_a_malformed_one_is_told_where(plane: Plane, body: bytes, field: str | None) -> None:
    answer = await plane.http.post("/heartbeat", content=body, headers=await plane.bearer())
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().get("field") == field
    assert answer.json()["expected"]


async def test_one_of_the_largest_size_is_taken_and_a_byte_more_is_not(plane: Plane) -> None:
    headers = await plane.bearer()
    texts = ["x" * 16_000] * 4
    filled = json.dumps({"health": {"x": [*texts, ""]}, "gap": {}})
    rest = "y" * (MAX_HEARTBEAT - len(filled))
    largest = json.dumps({"health": {"x": [*texts, rest]}, "gap": {}}).encode()
    assert len(largest) == MAX_HEARTBEAT
    answer = await plane.http.post("/heartbeat", content=largest + b" ", headers=headers)
    assert answer.status_code == 413
    answer = await plane.http.post("/heartbeat", content=largest, headers=headers)
    assert answer.status_code == 204


async def test_the_second_one_of_an_instance_within_ten_seconds_is_told_when_to_come(
    plane: Plane,
) -> None:
    headers = await plane.bearer()
    assert (await plane.http.post("/heartbeat", content=beat(), headers=headers)).is_success
    plane.clock.pass_seconds(3.5)
    early = await plane.http.post("/heartbeat", content=beat(), headers=headers)
    assert (early.status_code, early.headers["retry-after"]) == (429, "7")
    other = await plane.http.post("/heartbeat", content=beat(OTHER_INSTANCE), headers=headers)
    assert other.status_code == 200
    plane.clock.pass_seconds(6.5)
    assert (await plane.http.post("/heartbeat", content=beat(), headers=headers)).is_success


async def test_the_final_one_is_always_taken(plane: Plane) -> None:
    headers = await plane.bearer()
    for tokens in (10, 20):
        final = beat(tokens=tokens, final=True)
        assert (await plane.http.post("/heartbeat", content=final, headers=headers)).is_success
    usage = (await plane.http.get("/agents/agent/usage", headers=ADMIN)).json()
    assert (usage["totalTokens"], usage["final"]) == (20, True)


@pytest.mark.parametrize(
    "body", [pytest.param(b"{}", id="malformed"), pytest.param(b"x" * 70_000, id="too large")]
)
async def test_one_that_failed_uses_up_no_slot(plane: Plane, body: bytes) -> None:
    headers = await plane.bearer()
    assert (await plane.http.post("/heartbeat", content=body, headers=headers)).is_client_error
    assert (await plane.http.post("/heartbeat", content=beat(), headers=headers)).is_success


async def test_one_that_could_not_be_stored_uses_up_no_slot(tmp_path: Path) -> None:
    database = tmp_path / "usage.db"
    settings = ControlPlaneSettings(commit_wait=30)
    async with running_plane(database, settings) as plane:
        headers = await plane.bearer()
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("DROP TABLE instance_totals")
            answer = await plane.http.post("/heartbeat", content=beat(), headers=headers)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            unready = await plane.http.get("http://plane/health/ready")
            assert (unready.status_code, "SQLITE_ERROR" in unready.text) == (503, True)
            other.execute(TOTALS)
        assert (await plane.http.post("/heartbeat", content=beat(), headers=headers)).is_success
        assert (await plane.http.get("http://plane/health/ready")).is_success


async def test_several_processes_in_one_heartbeat_have_one_slot(plane: Plane) -> None:
    headers = await plane.bearer()
    both = [
        UsageSnapshot(TokenCounts(calls=1), instance_id=one, observer=Observer.SDK)
        for one in (INSTANCE, OTHER_INSTANCE)
    ]
    body = encode_heartbeat({"status": "healthy"}, {}, both)
    assert (await plane.http.post("/heartbeat", content=body, headers=headers)).status_code == 204
    assert (await plane.http.post("/heartbeat", content=body, headers=headers)).status_code == 429
