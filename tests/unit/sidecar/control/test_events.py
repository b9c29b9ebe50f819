"""``POST /events``: 200, 202 or 400, on both paths."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx
import pytest

from agentspec_usage.sidecar.audit.events import MAX_PUSH
from agentspec_usage.sidecar.control.parts import ControlBounds
from tests.unit.sidecar.control.ports import ELSEWHERE, Sidecar, push, spoken_to
from tests.unit.sidecar.proxied import a_request

TOOL = {"type": "tool", "name": "search"}

PATHS = pytest.mark.parametrize("path", ["/events", "/agentspec/events"])


@PATHS
async def test_events_of_a_request_in_the_ring_are_found(
    sidecar: Sidecar, http: httpx.AsyncClient, path: str
) -> None:
    sidecar.begin(a_request("r1"))
    answer = await http.post(path, content=push("r1", TOOL))
    assert answer.status_code == 200
    assert answer.json() == {"requestId": "r1", "found": True, "opaViolations": []}
    await http.post(path, content=push("r1", TOOL))
    listed = (await http.get("/audit")).json()
    assert listed[0]["toolsCalled"] == ["search", "search"]


@PATHS
async def test_events_before_their_request_are_kept(
    sidecar: Sidecar, http: httpx.AsyncClient, path: str
) -> None:
    answer = await http.post(path, content=push("r1", TOOL))
    assert answer.status_code == 202
    assert answer.json()["requestId"] == "r1"
    assert answer.json()["found"] is False
    sidecar.begin(a_request("r1"))
    assert (await http.get("/audit")).json()[0]["toolsCalled"] == ["search"]


@PATHS
async def test_a_body_that_is_no_push_is_a_problem_that_names_the_field(
    sidecar: Sidecar, http: httpx.AsyncClient, path: str
) -> None:
    answer = await http.post(path, json={"requestId": "", "events": []})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == "requestId"
    assert sidecar.ledger.seen == []


async def test_a_push_is_taken_whole_or_not_at_all(
    sidecar: Sidecar, http: httpx.AsyncClient
) -> None:
    model = {"type": "model", "modelId": "m", "tokenCount": 5}
    answer = await http.post("/events", content=push("r1", *[model] * 501))
    assert answer.status_code == 400
    assert sidecar.ledger.seen == []
    assert (await http.post("/events", content=push("r1", *[model] * 500))).status_code == 202
    assert sidecar.ledger.seen[-1].totals.calls == 500


@pytest.mark.parametrize(
    ("extra", "status"), [pytest.param(0, 202, id="at"), pytest.param(1, 413, id="beyond")]
)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "not declared"])
async def test_a_body_is_bounded_before_and_while_it_is_read(
    http: httpx.AsyncClient, extra: int, status: int, declared: bool
) -> None:
    body = push("r1", TOOL)
    body += b" " * (MAX_PUSH - len(body) + extra)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    answer = await http.post("/events", content=body if declared else pieces())
    assert answer.status_code == status


async def test_a_compressed_push_is_refused_before_it_is_read(http: httpx.AsyncClient) -> None:
    headers = {"Content-Encoding": "gzip"}
    answer = await http.post("/events", content=gzip.compress(push("r1")), headers=headers)
    assert answer.status_code == 415


@PATHS
async def test_only_processes_of_the_pod_may_push(sidecar: Sidecar, path: str) -> None:
    async with spoken_to(sidecar, peer=ELSEWHERE) as http:
        answer = await http.post(path, content=push("r1", TOOL))
    assert answer.status_code == 403
    assert len(sidecar.audit.early) == 0


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 202),
        ("127.8.8.8", 202),
        ("::1", 202),
        ("::ffff:127.0.0.1", 202),
        ("::ffff:10.0.0.1", 403),
        ("fe80::1%eth0", 403),
        ("", 403),
        ("localhost", 403),
    ],
)
async def test_the_pod_is_its_loopback(sidecar: Sidecar, host: str, status: int) -> None:
    async with spoken_to(sidecar, peer=(host, 1)) as http:
        assert (await http.post("/events", content=push("r1"))).status_code == status


async def test_bodies_under_way_are_bounded(sidecar: Sidecar) -> None:
    begun, released = asyncio.Event(), asyncio.Event()

    async def slow_body() -> AsyncIterator[bytes]:
        whole = push("slow")
        yield whole[:5]
        begun.set()
        await released.wait()
        yield whole[5:]

    async with spoken_to(sidecar, bounds=ControlBounds(bodies=1)) as http:
        slow = asyncio.create_task(http.post("/events", content=slow_body()))
        await begun.wait()
        refused = await http.post("/events", content=push("quick"))
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        released.set()
        assert (await slow).status_code == 202
        assert (await http.post("/events", content=push("quick"))).status_code == 202


async def test_a_body_that_does_not_arrive_is_given_up(sidecar: Sidecar) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with spoken_to(sidecar, bounds=ControlBounds(body_seconds=0.01)) as http:
        answer = await http.post("/events", content=body())
    assert answer.status_code == 408
