"""Registering agents, and who may."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from agentspec_usage.controlplane.settings import ControlPlaneSettings
from tests.unit.controlplane.planes import ADMIN, Plane, beat, running_plane
from tests.unit.store.values import rows

DAY = 86_400


async def test_an_agent_gets_an_id_and_a_key_until_when_it_is_good(plane: Plane) -> None:
    answer = await plane.http.post(
        "/register", json={"agentName": "agent", "runtime": "docker"}, headers=ADMIN
    )
    body = answer.json()
    assert re.fullmatch("agt_[0-9a-f]{32}", body["agentId"])
    assert re.fullmatch("ask_[0-9a-f]{32}_[0-9a-f]{64}", body["apiKey"])
    assert body["expiresAt"] == "2027-09-21T14:13:20.000Z"
    assert answer.headers["cache-control"] == "no-store"


async def test_registering_again_keeps_the_id_and_the_old_key_is_dead(plane: Plane) -> None:
    first = await plane.register()
    again = await plane.register()
    assert again["agentId"] == first["agentId"]
    statuses = []
    for body in (first, again):
        headers = {"Authorization": f"Bearer {body['apiKey']}"}
        statuses.append(await plane.http.post("/heartbeat", content=beat(), headers=headers))
    assert [answer.status_code for answer in statuses] == [401, 200]


async def test_with_an_overlap_the_old_key_is_good_until_it_ends(plane: Plane) -> None:
    old = await plane.bearer()
    await plane.register(overlapSeconds=60)
    plane.clock.pass_seconds(59)
    assert (await plane.http.post("/heartbeat", content=beat(), headers=old)).status_code == 200
    plane.clock.pass_seconds(1)
    assert (await plane.http.post("/heartbeat", content=beat(), headers=old)).status_code == 401


async def test_a_key_dies_when_it_expires(plane: Plane) -> None:
    headers = await plane.bearer()
    plane.clock.pass_seconds(365 * DAY)
    assert (await plane.http.post("/heartbeat", content=beat(), headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("body", "namespace"),
    [
        pytest.param({"runtime": "local"}, "agentspec-remote", id="outside of Kubernetes"),
        pytest.param({"runtime": "local", "namespace": "lab"}, "lab", id="outside, with one"),
        pytest.param({"runtime": "k8s", "namespace": "team"}, "team", id="in Kubernetes"),
    ],
)
async def test_an_agent_belongs_to_a_namespace(
    plane: Plane, body: dict[str, Any], namespace: str
) -> None:
    await plane.register(**body)
    (row,) = (await plane.http.get("/agents", headers=ADMIN)).json()
    assert row["namespace"] == namespace


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"agentName": "agent", "runtime": "k8s"}, "namespace", id="k8s without one"),
        pytest.param({"runtime": "local"}, "agentName", id="no name"),
        pytest.param({"agentName": "", "runtime": "local"}, "agentName", id="empty name"),
        pytest.param({"agentName": "Agent", "runtime": "local"}, "agentName", id="upper case"),
        pytest.param({"agentName": "a\n", "runtime": "local"}, "agentName", id="line break"),
        pytest.param({"agentName": "a" * 64, "runtime": "local"}, "agentName", id="64 long"),
        pytest.param({"agentName": "-a", "runtime": "local"}, "agentName", id="leading dash"),
        pytest.param({"agentName": 7, "runtime": "local"}, "agentName", id="a number"),
        pytest.param({"agentName": "a", "runtime": "lambda"}, "runtime", id="unknown runtime"),
        pytest.param(
            {"agentName": "a", "runtime": "local", "overlapSeconds": 86_401},
            "overlapSeconds",
            id="overlap of more than a day",
        ),
        pytest.param(
            {"agentName": "a", "runtime": "local", "namespace": "../x"}, "namespace", id="no label"
        ),
    ],
)
async def test_a_registration_that_is_wrong_is_told_which_field(
    plane: Plane, body: dict[str, Any], field: str
) -> None:
    answer = await plane.http.post("/register", json=body, headers=ADMIN)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["field"] == field
    assert problem["expected"]
    assert problem["detail"] == f"{field}: expected {problem['expected']}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", "/register", id="register"),
        pytest.param("GET", "/agents", id="list"),
        pytest.param("DELETE", "/agents/agent", id="revoke"),
        pytest.param("GET", "/agents/agent/health", id="health"),
        pytest.param("GET", "/agents/agent/gap", id="gap"),
        pytest.param("GET", "/agents/agent/proof", id="proof"),
        pytest.param("GET", "/agents/agent/usage", id="usage"),
    ],
)
async def test_what_is_the_administrators_is_nobody_elses(
    plane: Plane, method: str, path: str
) -> None:
    key = await plane.bearer()
    for headers in ({}, {"X-Admin-Key": ""}, {"X-Admin-Key": "not the admin key"}, key):
        answer = await plane.http.request(method, path, headers=headers)
        assert answer.status_code == 403, headers
    assert len((await plane.http.get("/agents", headers=ADMIN)).json()) == 1


async def test_without_an_admin_key_nobody_has_one(
    tmp_path: Path, settings: ControlPlaneSettings
) -> None:
    async with running_plane(tmp_path / "usage.db", settings, admin_key="") as plane:
        for headers in ({}, {"X-Admin-Key": ""}, ADMIN):
            answer = await plane.http.get("/agents", headers=headers)
            assert answer.status_code == 503


async def test_a_revoked_agents_key_is_dead_and_its_usage_is_kept(
    plane: Plane, tmp_path: Path
) -> None:
    headers = await plane.bearer()
    await plane.http.post("/heartbeat", content=beat(), headers=headers)
    assert (await plane.http.delete("/agents/agent", headers=ADMIN)).status_code == 204
    assert (await plane.http.post("/heartbeat", content=beat(), headers=headers)).status_code == 401
    usage = (await plane.http.get("/agents/agent/usage", headers=ADMIN)).json()
    assert usage["totalTokens"] == 10
    (row,) = (await plane.http.get("/agents", headers=ADMIN)).json()
    assert row["revokedAt"] == "2026-09-21T14:13:20.000Z"


async def test_one_of_two_agents_of_a_name_is_named_by_its_namespace(plane: Plane) -> None:
    await plane.register(namespace="red")
    await plane.register(namespace="blue")
    unsaid = await plane.http.delete("/agents/agent", headers=ADMIN)
    assert (unsaid.status_code, unsaid.json()["field"]) == (422, "namespace")
    said = await plane.http.delete("/agents/agent?namespace=red", headers=ADMIN)
    assert said.status_code == 204
    found = {
        row["namespace"]: row for row in (await plane.http.get("/agents", headers=ADMIN)).json()
    }
    assert found["red"]["revokedAt"]
    assert found["blue"]["revokedAt"] is None


async def test_the_secret_of_a_key_is_nowhere_in_the_database(plane: Plane, tmp_path: Path) -> None:
    secret = (await plane.register())["apiKey"].rsplit("_", 1)[1]
    ((dump,),) = rows(str(tmp_path / "usage.db"), "SELECT group_concat(hex(digest)) FROM api_keys")
    assert secret not in dump.lower()
    written = _files_of(tmp_path)
    assert b"agt_" in written
    assert secret.encode() not in written


def _files_of(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.glob("usage.db*"))
