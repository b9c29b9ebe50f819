"""Closing a month, its statement, and pricing it again, over HTTP."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.runtime.clock import from_rfc3339
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.unit.controlplane.planes import ADMIN, Plane, running_plane
from tests.unit.store.test_charges import BOOK, GPT
from tests.unit.store.test_repricing import DEARER
from tests.unit.store.values import frame

HEADER = "namespace,agent,note,calls,input,output,tokens,amount,currency,exact,unpriced,estimated"


def call(seq: int, at: str, team: str = "") -> UsageRecord:
    counts = TokenCounts(input=1_000_000, calls=1)
    return UsageRecord(seq, from_rfc3339(at), GPT, counts, context=CallContext(team=team))


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    async with running_plane(tmp_path / "usage.db", ControlPlaneSettings(), book=BOOK) as running:
        yield running


def until_october_ends(plane: Plane) -> None:
    """September is over, October is not."""
    plane.clock.pass_seconds((from_rfc3339("2026-10-20T00:00:00Z") - plane.clock.now()) / 1000)


async def report(plane: Plane, key: dict[str, str], since: int, *calls: UsageRecord) -> None:
    totals = TokenCounts(input=1_000_000 * (since + len(calls)), calls=since + len(calls))
    body = encode_records([encode_frame(frame(since, since + len(calls), *calls, totals=totals))])
    answer = await plane.http.post("/usage/records", content=body, headers=key)
    assert answer.status_code == 200, answer.text


async def statement(plane: Plane, **asked: Any) -> Any:
    answer = await plane.http.get("/usage/statement", params=asked, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_month_is_closed_and_what_comes_late_is_charged_in_the_next(plane: Plane) -> None:
    until_october_ends(plane)
    key = await plane.bearer("web", namespace="red", runtime="k8s")
    await report(plane, key, 0, call(1, "2026-09-02T00:00:00Z"))
    closed = await plane.http.post("/usage/periods", json={"month": "2026-09"}, headers=ADMIN)
    assert closed.status_code == 200, closed.text
    said = closed.json()
    assert (said["startTime"], said["endTime"]) == (
        *("2026-09-01T00:00:00.000Z", "2026-10-01T00:00:00.000Z"),
    )
    again = await plane.http.post("/usage/periods", json={"month": "2026-09"}, headers=ADMIN)
    assert again.json() == said
    listed = await plane.http.get("/usage/periods", headers=ADMIN)
    assert listed.json() == {"periods": [said]}
    await report(plane, key, 1, call(2, "2026-09-30T23:59:59Z"))
    september = (await statement(plane, month="2026-09")).json()
    assert (september["tokens"], september["closedAt"]) == (1_000_000, said["closedAt"])
    rows = (await statement(plane, month="2026-10", by="namespace,agent", format="csv")).text
    assert rows.splitlines() == [
        HEADER,
        "red,web,correction of 2026-09,1,1000000,0,1000000,2.00,USD,2,0,0",
    ]


async def close(plane: Plane, **asked: Any) -> tuple[int, str]:
    answer = await plane.http.post("/usage/periods", json=asked, headers=ADMIN)
    return answer.status_code, answer.json().get("detail", "")


async def test_a_month_is_closed_when_what_is_under_way_has_come_or_early_on_purpose(
    plane: Plane,
) -> None:
    october = from_rfc3339("2026-10-01T00:00:00Z")
    plane.clock.pass_seconds((october - plane.clock.now()) / 1000)
    status, detail = await close(plane, month="2026-09")
    assert status == 409
    assert "expected it to be closed from 2026-10-02T00:00:00.000Z on" in detail
    assert await close(plane, month="2026-09", early=True) == (200, "")
    assert await close(plane, month="2026-09") == (200, ""), "it is answered as it was closed"


async def test_the_grace_is_that_of_the_settings(tmp_path: Path) -> None:
    for hours, statuses in ((0, [200]), (36, [409, 200])):
        database, settings = tmp_path / f"{hours}.db", ControlPlaneSettings(close_grace_hours=hours)
        async with running_plane(database, settings) as plane:
            october = from_rfc3339("2026-10-01T00:00:00Z")
            plane.clock.pass_seconds((october - plane.clock.now()) / 1000)
            found = [(await close(plane, month="2026-09"))[0]]
            if hours:
                plane.clock.pass_seconds(hours * 3600)
                found.append((await close(plane, month="2026-09"))[0])
            assert found == statuses


async def test_the_first_month_that_is_closed_leaves_no_earlier_one_out_unless_asked_to(
    plane: Plane,
) -> None:
    until_october_ends(plane)
    key = await plane.bearer("web", namespace="red", runtime="k8s")
    await report(plane, key, 0, call(1, "2026-07-31T23:59:59Z"))
    status, detail = await close(plane, month="2026-09")
    assert status == 409
    assert "there is usage of 2026-07 UTC, before 2026-09" in detail
    assert await close(plane, month="2026-09", begin=True) == (200, "")


async def test_a_statement_has_the_dimensions_that_were_asked_for(plane: Plane) -> None:
    until_october_ends(plane)
    key = await plane.bearer("web", namespace="red", runtime="k8s")
    calls = (call(1, "2026-10-02T00:00:00Z", "=ads"), call(2, "2026-10-02T00:00:00Z", "search"))
    await report(plane, key, 0, *calls)
    found = await statement(plane, month="2026-10", by="team", format="csv", digits=3)
    teams = [row["team"] for row in csv.DictReader(io.StringIO(found.text))]
    assert sorted(teams) == ["'=ads", "search"], "no spreadsheet shall run what an agent wrote"
    table = await statement(plane, month="2026-10", zone="Asia/Kathmandu", format="table")
    assert table.text.startswith("Usage of 2026-10 Asia/Kathmandu\n")


async def test_a_month_is_priced_again_by_the_prices_of_now(tmp_path: Path) -> None:
    database, settings = tmp_path / "usage.db", ControlPlaneSettings()
    async with running_plane(database, settings, book=BOOK) as plane:
        key = await plane.bearer("web", namespace="red", runtime="k8s")
        calls = call(1, "2026-09-02T00:00:00Z"), call(2, "2026-09-03T00:00:00Z")
        await report(plane, key, 0, *calls)
    async with running_plane(database, settings, book=DEARER) as plane:
        for dry, changed in ((True, 2), (False, 2), (False, 0)):
            body = {"month": "2026-09", "orgId": "red", "dryRun": dry}
            told = await plane.http.post("/usage/reprice", json=body, headers=ADMIN)
            assert told.json() == {
                "seen": 2,
                "changed": changed,
                "differences": {"USD": "2"} if changed else {},
                "nextCursor": None,
            }
        assert (await statement(plane, month="2026-09")).json()["totals"] == {"USD": "8.00"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        pytest.param(
            "POST", "/usage/periods", {"month": "2026-13"}, 422, "month: expected", id="no month"
        ),
        pytest.param(
            *("POST", "/usage/periods", {"month": "2026-11"}, 409, "expected one that is over"),
            id="not over",
        ),
        pytest.param(
            *(
                "POST",
                "/usage/periods",
                {"month": "2026-09", "zone": "Mars"},
                422,
                "zone: expected",
            ),
            id="no zone",
        ),
        pytest.param(
            *("POST", "/usage/periods", {"month": "2026-09", "early": "yes"}, 422, "early: "),
            id="neither true nor false",
        ),
        pytest.param(
            *("POST", "/usage/reprice", {"month": "2026-09", "cursor": "x"}, 422, "cursor"),
            id="no cursor",
        ),
        pytest.param(
            "GET", "/usage/statement?month=2026-09&by=colour", None, 422, "by: expected", id="by"
        ),
        pytest.param(
            "GET", "/usage/statement", None, 422, "month: expected a value", id="month missing"
        ),
    ],
)
async def test_a_mistake_is_told(
    plane: Plane, method: str, path: str, body: Any, status: int, detail: str
) -> None:
    until_october_ends(plane)
    answer = await plane.http.request(method, path, json=body, headers=ADMIN)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
