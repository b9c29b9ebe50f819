"""What the administrator sees of an agent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controlplane.planes import ADMIN, Plane, beat
from tests.unit.store.values import INSTANCE, OTHER_INSTANCE


async def get(plane: Plane, path: str) -> dict[str, Any]:
    answer = await plane.http.get(path, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_documents_are_those_of_the_newest_heartbeat(plane: Plane) -> None:
    headers = await plane.bearer()
    for number in (1, 2):
        body = {"health": {"n": number}, "gap": {"g": number}, "proof": {"p": number}}
        await plane.http.post("/heartbeat", json=body, headers=headers)
        plane.clock.pass_seconds(10)
    assert await get(plane, "/agents/agent/health") == {"n": 2}
    assert await get(plane, "/agents/agent/gap") == {"g": 2}
    assert await get(plane, "/agents/agent/proof") == {"p": 2}


@pytest.mark.parametrize("document", ["health", "gap", "proof"])
async def test_before_the_first_heartbeat_there_are_none(plane: Plane, document: str) -> None:
    await plane.register()
    answer = await plane.http.get(f"/agents/agent/{document}", headers=ADMIN)
    assert answer.status_code == 404
    assert "heartbeat" in answer.json()["detail"]


async def test_usage_is_zeros_before_the_first_heartbeat(plane: Plane) -> None:
    await plane.register()
    usage = await get(plane, "/agents/agent/usage")
    assert (usage["models"], usage["totalTokens"], usage["totalCalls"]) == ([], 0, 0)
    assert "receivedAt" not in usage


async def test_usage_is_the_newest_snapshot_and_when_it_came(plane: Plane) -> None:
    headers = await plane.bearer()
    await plane.http.post("/heartbeat", content=beat(tokens=10), headers=headers)
    plane.clock.pass_seconds(10)
    await plane.http.post("/heartbeat", content=beat(tokens=25), headers=headers)
    usage = await get(plane, "/agents/agent/usage")
    assert (usage["totalTokens"], usage["instanceId"]) == (25, INSTANCE)
    assert usage["models"][0]["modelId"] == "openai/gpt"
    assert usage["receivedAt"] == "2026-09-21T14:13:30.000Z"


async def test_usage_of_several_instances_is_their_sum_and_their_list(plane: Plane) -> None:
    headers = await plane.bearer()
    await plane.http.post("/heartbeat", content=beat(INSTANCE, 10), headers=headers)
    await plane.http.post("/heartbeat", content=beat(OTHER_INSTANCE, 7), headers=headers)
    usage = await get(plane, "/agents/agent/usage")
    assert usage["totalTokens"] == 17
    assert {one["instanceId"] for one in usage["instances"]} == {INSTANCE, OTHER_INSTANCE}


async def test_a_window_is_not_added_to_cumulative_totals(plane: Plane) -> None:
    headers = await plane.bearer()
    await plane.http.post("/heartbeat", content=beat(INSTANCE, 10), headers=headers)
    plane.clock.pass_seconds(1)
    await plane.http.post("/heartbeat", content=beat(None, 3), headers=headers)
    usage = await get(plane, "/agents/agent/usage")
    assert usage["totalTokens"] == 3
    assert "instanceId" not in usage


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/agents/nobody/usage", 404, id="unknown"),
        pytest.param("/agents/Nobody/usage", 422, id="no label"),
        pytest.param("/agents/a%0ab/health", 422, id="line break"),
        pytest.param(f"/agents/{'a' * 64}/gap", 422, id="too long"),
        pytest.param("/agents/agent/usage?namespace=else", 404, id="another namespace"),
        pytest.param("/agents/agent/usage?namespace=-", 422, id="namespace is no label"),
        pytest.param("/agents/agent/nothing", 404, id="unknown operation"),
    ],
)
async def test_an_agent_that_is_not_there_is_told_apart_from_a_name_that_is_none(
    plane: Plane, path: str, status: int
) -> None:
    await plane.register()
    answer = await plane.http.get(path, headers=ADMIN)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
