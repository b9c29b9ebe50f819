"""What can be asked about usage, by whom, and in which shapes it is answered."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.runtime.clock import from_rfc3339
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.unit.controlplane.planes import ADMIN, Plane
from tests.unit.store.values import frame

HOUR = 3_600_000


def call(seq: int, at: str, model: str = "gpt", **changes: Any) -> UsageRecord:
    counts = TokenCounts(input=100, output=10, cache_read=40, reasoning=4, calls=1)
    return UsageRecord(seq, from_rfc3339(at), SeriesKey("openai", model), counts, **changes)


async def send(plane: Plane, headers: dict[str, str], *records: UsageRecord, number: int) -> None:
    sealed = encode_frame(frame(0, len(records), *records, instance_id=f"{number:032x}"))
    answer = await plane.http.post(
        "/usage/records", content=encode_records([sealed]), headers=headers
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture
async def keys(plane: Plane) -> dict[str, dict[str, str]]:
    """Two teams' agents, which have reported; the headers that show their keys."""
    red = await plane.bearer("web", namespace="red", runtime="k8s")
    blue = await plane.bearer("web", namespace="blue", runtime="k8s")
    context = CallContext(user="ann", session="chat-7", run="run-1", team="search")
    await send(
        plane,
        red,
        call(1, "2026-09-20T23:59:59.999Z"),
        call(2, "2026-09-21T00:00:00Z", "org/opus", context=context, duration_ms=250),
        call(3, "2026-09-21T10:00:00Z", call_id="c3"),
        number=1,
    )
    await send(plane, blue, call(1, "2026-09-21T12:00:00Z"), number=2)
    return {"red": red, "blue": blue}


async def ask(plane: Plane, path: str, headers: dict[str, str] = ADMIN) -> dict[str, Any]:
    answer = await plane.http.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def part(calls: int) -> dict[str, Any]:
    return {
        "total_tokens": 110 * calls,
        "prompt_tokens": 100 * calls,
        "completion_tokens": 10 * calls,
        "request_count": calls,
        "total_cost": None,
        "currency": None,
    }


@pytest.mark.usefixtures("keys")
async def test_billing_is_divided_by_model_and_by_agent_and_says_what_has_no_price(
    plane: Plane,
) -> None:
    query = "start_time=2026-09-21T00:00:00Z&end_time=2026-09-22T00:00:00Z"
    assert await ask(plane, f"/usage/billing?{query}") == {
        "orgId": None,
        "startTime": "2026-09-21T00:00:00.000Z",
        "endTime": "2026-09-22T00:00:00.000Z",
        "totalTokens": 330,
        "promptTokens": 300,
        "completionTokens": 30,
        "requestCount": 3,
        "totalCost": None,
        "currency": None,
        "costs": {},
        "unpricedCount": 3,
        "estimatedCount": 0,
        "byModel": {"gpt": part(2), "org/opus": part(1)},
        "byAgent": {"red/web": part(2), "blue/web": part(1)},
    }


@pytest.mark.usefixtures("keys")
async def test_history_is_newest_first_with_every_field(plane: Plane) -> None:
    page = await ask(plane, "/usage/history?org_id=red&limit=2")
    assert (page["count"], page["total"], page["offset"], page["limit"]) == (2, 3, 0, 2)
    assert [event["timestamp"] for event in page["events"]] == [
        "2026-09-21T10:00:00.000Z",
        "2026-09-21T00:00:00.000Z",
    ]
    assert page["events"][1] == {
        "id": "2",
        "timestamp": "2026-09-21T00:00:00.000Z",
        "threadId": "chat-7",
        "agentId": "red/web",
        "model": "org/opus",
        "provider": "openai",
        "promptTokens": 100,
        "completionTokens": 10,
        "totalTokens": 110,
        "latencyMs": 250,
        "estimatedCost": None,
        "currency": None,
        "metadata": {
            "operation": "chat",
            "status": "ok",
            "userId": "ann",
            "runId": "run-1",
            "team": "search",
            "callCount": 1,
            "cacheReadTokens": 40,
            "cacheWriteTokens": 0,
            "reasoningTokens": 4,
        },
    }
    rest = await ask(plane, f"/usage/history?org_id=red&limit=2&cursor={page['nextCursor']}")
    assert [event["id"] for event in rest["events"]] == ["1"]
    assert rest["nextCursor"] is None


@pytest.mark.parametrize(
    ("query", "total"),
    [
        pytest.param("", 4, id="none"),
        pytest.param("org_id=red", 3, id="namespace"),
        pytest.param("agent_id=red/web", 3, id="agent by name"),
        pytest.param("agent_id=red%2Fweb&model=gpt", 2, id="agent and model"),
        pytest.param("user_id=ann", 1, id="user"),
        pytest.param("user_id=bob", 0, id="nobody"),
        pytest.param("org_id=green", 0, id="an empty namespace"),
        pytest.param("agent_id=red/nobody", 0, id="an unknown agent"),
        pytest.param("start_time=2026-09-21", 3, id="from a date"),
        pytest.param("end_time=2026-09-20", 1, id="to the end of a date"),
        pytest.param("end_time=2026-09-21T00:00:00Z", 1, id="the end is not in it"),
        pytest.param("start_time=2026-09-20T23:59:59.999Z", 4, id="the start is in it"),
        pytest.param("start_time=2026-09-21T05:45:00%2B05:45", 3, id="an escaped offset"),
        pytest.param("start_time=2026-09-21T05:45:00+05:45", 3, id="an offset as people type it"),
        pytest.param("start_time=2026-09-21&time_zone=Asia/Kathmandu", 4, id="a date of a zone"),
    ],
)
@pytest.mark.usefixtures("keys")
async def test_the_total_honours_every_filter(plane: Plane, query: str, total: int) -> None:
    page = await ask(plane, f"/usage/history?{query}")
    assert page["total"] == page["count"] == total


@pytest.mark.usefixtures("keys")
async def test_days_are_those_of_the_zone(plane: Plane) -> None:
    utc = await ask(plane, "/usage/daily")
    assert [(day["date"], day["totalTokens"], day["requestCount"]) for day in utc["days"]] == [
        ("2026-09-20", 110, 1),
        ("2026-09-21", 330, 3),
    ]
    assert utc["count"] == 2
    kathmandu = await ask(plane, "/usage/daily?time_zone=Asia/Kathmandu")
    assert [(day["date"], day["requestCount"]) for day in kathmandu["days"]] == [("2026-09-21", 4)]
    apia = await ask(plane, "/usage/daily?time_zone=Pacific/Apia")
    assert [(day["date"], day["requestCount"]) for day in apia["days"]] == [
        ("2026-09-21", 3),
        ("2026-09-22", 1),
    ]


@pytest.mark.usefixtures("keys")
async def test_live_totals_are_of_everything_of_an_agent_or_of_a_model(plane: Plane) -> None:
    assert (await ask(plane, "/usage"))["totalTokens"] == 440
    assert (await ask(plane, "/usage/agents/red/web"))["requestCount"] == 3
    registered = await ask(plane, "/usage/agents/" + (await agent_ids(plane))["blue"])
    assert registered["requestCount"] == 1
    assert (await ask(plane, "/usage/models/org/opus"))["requestCount"] == 1
    assert (await ask(plane, "/usage/models/nothing"))["requestCount"] == 0


async def agent_ids(plane: Plane) -> dict[str, str]:
    rows = (await plane.http.get("/agents", headers=ADMIN)).json()
    return {row["namespace"]: row["agentId"] for row in rows}


@pytest.mark.parametrize(
    "path", ["/usage", "/usage/billing", "/usage/daily", "/usage/history", "/usage/models/gpt"]
)
async def test_a_key_opens_its_own_agents_usage_and_nothing_else(
    plane: Plane, keys: dict[str, dict[str, str]], path: str
) -> None:
    own = await ask(plane, path, keys["blue"])
    text = str(own)
    assert "red/" not in text
    assert own != await ask(plane, path)
    for query in ("org_id=red", "agent_id=red/web", f"agent_id={(await agent_ids(plane))['red']}"):
        refused = await plane.http.get(f"{path}?{query}", headers=keys["blue"])
        assert refused.status_code == 403
    named = quote((await agent_ids(plane))["blue"])
    assert await ask(plane, f"{path}?agent_id={named}&org_id=blue", keys["blue"]) == own


async def test_a_key_may_not_ask_for_another_agents_totals(
    plane: Plane, keys: dict[str, dict[str, str]]
) -> None:
    own = await ask(plane, "/usage/agents/blue/web", keys["blue"])
    assert own["requestCount"] == 1
    refused = await plane.http.get("/usage/agents/red/web", headers=keys["blue"])
    assert refused.status_code == 403


@pytest.mark.parametrize(
    "path", ["/usage", "/usage/agents/red/web", "/usage/billing", "/usage/daily", "/usage/history"]
)
async def test_without_a_credential_nothing_is_told(plane: Plane, path: str) -> None:
    assert (await plane.http.get(path)).status_code == 401
    wrong = {"X-Admin-Key": "not the admin key"}
    assert (await plane.http.get(path, headers=wrong)).status_code == 403


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param("start_time=yesterday", "start_time", id="no time"),
        pytest.param("start_time=2026-09-21T00:00:00", "start_time", id="a time of no zone"),
        pytest.param("start_time=2026-02-30", "start_time", id="no date"),
        pytest.param("end_time=1969-12-31T00:00:00Z", "end_time", id="before 1970"),
        pytest.param("start_time=2026-09-22&end_time=2026-09-20", "end_time", id="ends before"),
        pytest.param("start_time=2026-09-22&time_zone=Mars/Base", "time_zone", id="no zone"),
        pytest.param("start_time=2026-09-22&time_zone=../../x", "time_zone", id="a path"),
        pytest.param("limit=0", "limit", id="no limit"),
        pytest.param("limit=1001", "limit", id="too many"),
        pytest.param("limit=ten", "limit", id="no number"),
        pytest.param("offset=-1", "offset", id="negative offset"),
        pytest.param("cursor=tomorrow", "cursor", id="no cursor"),
        pytest.param("cursor=1-1&offset=3", "offset", id="cursor and offset"),
        pytest.param("model=a&model=b", "model", id="twice"),
        pytest.param("modle=gpt", "modle", id="misspelt"),
    ],
)
async def test_a_parameter_that_is_wrong_is_named(plane: Plane, query: str, field: str) -> None:
    answer = await plane.http.get(f"/usage/history?{query}", headers=ADMIN)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["field"] == field
    assert problem["expected"]


async def test_an_agent_in_the_path_that_nobody_registered_is_unknown(plane: Plane) -> None:
    for path in ("/usage/agents/red/nobody", "/usage/agents/agt_0"):
        assert (await plane.http.get(path, headers=ADMIN)).status_code == 404
