"""``/usage/events`` and ``/usage/batches``: usage of senders that fire and forget."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.unit.controlplane.planes import ADMIN, Plane

Bearer = dict[str, str]


def event(**fields: Any) -> dict[str, Any]:
    return {"model": "openai/gpt-4o", "inputTokens": 10, "outputTokens": 5, **fields}


async def send(plane: Plane, bearer: Bearer, *events: dict[str, Any]) -> dict[str, Any]:
    answer = await plane.http.post("/usage/events", json={"events": list(events)}, headers=bearer)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def drained(plane: Plane) -> dict[str, Any]:
    """What the buffer counted when nothing waits any more."""
    assert await plane.events.stop(grace=20)
    return dict((await plane.http.get("/usage/events", headers=ADMIN)).json())


def batch_ids(plane: Plane) -> list[str]:
    return [row[0] for row in plane.rows("SELECT batch_id FROM event_batches ORDER BY batch")]


@pytest.fixture
async def bearer(plane: Plane) -> Bearer:
    return await plane.bearer()


async def test_events_are_taken_at_once_and_billed_when_they_are_flushed(
    plane: Plane, bearer: Bearer
) -> None:
    assert await send(plane, bearer, event(), event(totalTokens=40)) == {
        "accepted": 2,
        "dropped": 0,
        "repeated": 0,
        "queued": 2,
    }
    assert plane.rows("SELECT count(*) FROM items") == [(0,)]
    stats = await drained(plane)
    assert (stats["totalEnqueued"], stats["totalFlushed"], stats["queueSize"]) == (2, 2, 0)
    billing = (await plane.http.get("/usage/billing", headers=bearer)).json()
    assert (billing["totalTokens"], billing["requestCount"]) == (55, 2)


async def test_a_call_is_in_the_history_with_its_session_its_run_and_its_id(
    plane: Plane, bearer: Bearer
) -> None:
    await send(plane, bearer, event(sessionId="s", runId="r", eventId="e"))
    await drained(plane)
    (call,) = (await plane.http.get("/usage/history", headers=bearer)).json()["events"]
    assert (call["threadId"], call["model"], call["provider"]) == ("s", "gpt-4o", "openai")
    assert (call["metadata"]["runId"], call["metadata"]["callId"]) == ("r", "e")


async def test_an_event_of_a_clock_that_is_years_behind_is_billed_when_it_came(
    plane: Plane, bearer: Bearer
) -> None:
    await send(plane, bearer, event(timestamp="1970-01-02T00:00:00Z"))
    await drained(plane)
    assert plane.rows("SELECT at, claimed_at FROM items") == [(plane.clock.now(), 86_400_000)]


async def test_an_id_that_comes_again_counts_once(plane: Plane, bearer: Bearer) -> None:
    await send(plane, bearer, event(eventId="e"))
    answer = await send(plane, bearer, event(eventId="e"), event(eventId="f"))
    assert (answer["accepted"], answer["repeated"]) == (1, 1)
    assert (await drained(plane))["totalFlushed"] == 2


async def test_a_session_that_is_too_busy_is_told_what_was_dropped(
    plane: Plane, bearer: Bearer
) -> None:
    with plane.locked():
        answers = [await send(plane, bearer, *[event(sessionId="busy")] * 500) for _ in range(6)]
        calm = await send(plane, bearer, event(sessionId="calm"))
    assert [answer["dropped"] for answer in answers] == [0, 0, 0, 0, 0, 500]
    assert (calm["accepted"], calm["queued"]) == (1, 2501)
    stats = await drained(plane)
    assert (stats["totalFlushed"], stats["totalDropped"]) == (2501, 500)


async def test_a_body_may_come_as_gzip(plane: Plane, bearer: Bearer) -> None:
    body = gzip.compress(json.dumps({"events": [event()]}).encode())
    answer = await plane.http.post(
        "/usage/events", content=body, headers={**bearer, "Content-Encoding": "gzip"}
    )
    assert answer.json()["accepted"] == 1


async def test_a_body_that_is_wrong_is_refused_whole_and_the_field_is_named(
    plane: Plane, bearer: Bearer
) -> None:
    body = {"events": [event(), event(outputTokens=-1)]}
    answer = await plane.http.post("/usage/events", json=body, headers=bearer)
    assert answer.status_code == 422
    assert answer.json()["field"] == "events[1].outputTokens"
    assert (await drained(plane))["totalEnqueued"] == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="no key"),
        pytest.param({"Authorization": "Bearer ask_x_y"}, 401, id="a key that is none"),
        pytest.param(ADMIN, 401, id="the admin key"),
    ],
)
async def test_events_need_an_agents_key(plane: Plane, headers: Bearer, status: int) -> None:
    answer = await plane.http.post("/usage/events", json={"events": [event()]}, headers=headers)
    assert answer.status_code == status


async def test_a_body_beyond_the_bound_is_refused_before_it_is_read(
    plane: Plane, bearer: Bearer
) -> None:
    answer = await plane.http.post("/usage/events", content=b" " * 600_000, headers=bearer)
    assert answer.status_code == 413


async def test_what_the_buffer_counted_is_the_administrators_to_know(
    plane: Plane, bearer: Bearer
) -> None:
    assert (await plane.http.get("/usage/events", headers=bearer)).status_code == 403
    stats = (await plane.http.get("/usage/events", headers=ADMIN)).json()
    assert stats == {
        "started": True,
        "queueSize": 0,
        "totalEnqueued": 0,
        "totalFlushed": 0,
        "totalDropped": 0,
        "totalRepeated": 0,
        "totalSetAside": 0,
        "flushCount": 0,
        "lastFlushAt": None,
        "lastError": None,
    }


async def test_a_batch_is_told_and_verifies(plane: Plane, bearer: Bearer) -> None:
    await send(
        plane,
        bearer,
        event(sessionId="s", runId="r", parentRunId="p", toolCalls=2),
        event(sessionId="s", runId="r", parentRunId="p", totalTokens=50),
    )
    await drained(plane)
    (batch_id,) = batch_ids(plane)
    batch = (await plane.http.get(f"/usage/batches/{batch_id}", headers=bearer)).json()
    assert len(batch.pop("batchHash")) == 64
    assert batch == {
        "type": "usage.batch_flushed",
        "batchId": batch_id,
        "flushedAt": "2026-09-21T14:13:20.000Z",
        "sessionId": "s",
        "runId": "r",
        "parentRunId": "p",
        "eventCount": 2,
        "inputTokens": 20,
        "outputTokens": 45,
        "totalTokens": 65,
        "toolCalls": 2,
        "totalCost": None,
        "currency": None,
        "costs": {},
        "unpricedCount": 2,
        "models": ["gpt-4o"],
        "agents": ["agentspec-remote/agent"],
        "verified": True,
        "finding": None,
    }


async def test_a_batch_whose_rows_were_changed_does_not_verify(
    plane: Plane, bearer: Bearer
) -> None:
    await send(plane, bearer, event())
    await drained(plane)
    plane.change("UPDATE usage_events SET link = replace(link, '10', '11')")
    (batch_id,) = batch_ids(plane)
    batch = (await plane.http.get(f"/usage/batches/{batch_id}", headers=ADMIN)).json()
    assert (batch["verified"], batch["inputTokens"]) == (False, 10)
    assert batch["finding"] == "its event of row 1 is not what was accepted"


async def test_a_batch_is_its_agents_own(plane: Plane, bearer: Bearer) -> None:
    await send(plane, bearer, event())
    await drained(plane)
    (batch_id,) = batch_ids(plane)
    path = f"/usage/batches/{batch_id}"
    other = await plane.bearer("other")
    assert (await plane.http.get(path, headers=other)).status_code == 404
    assert (await plane.http.get(path)).status_code == 401
    assert (await plane.http.get(path, headers={"X-Admin-Key": "wrong"})).status_code == 403
    assert (await plane.http.get(path, headers=ADMIN)).status_code == 200


@pytest.mark.parametrize("batch_id", ["f" * 32, "none", "%00", "%FF", "F" * 32])
async def test_a_batch_that_is_none_is_not_found(plane: Plane, batch_id: str) -> None:
    answer = await plane.http.get(f"/usage/batches/{batch_id}", headers=ADMIN)
    assert answer.status_code == 404


async def test_metrics_tell_what_became_of_events(plane: Plane, bearer: Bearer) -> None:
    await send(plane, bearer, event(eventId="e"), event(eventId="e"))
    assert plane.counted("agentspec_events_total", {"result": "queued"}) == 1
    assert plane.counted("agentspec_events_total", {"result": "repeated"}) == 1
    assert plane.counted("agentspec_events_waiting") == 1
    await drained(plane)
    assert plane.counted("agentspec_events_total", {"result": "flushed"}) == 1
    assert plane.counted("agentspec_events_waiting") == 0
