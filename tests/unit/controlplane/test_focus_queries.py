"""A month's file of charges: who gets which, in which form, and what is said beside it."""

from __future__ import annotations

import asyncio
import csv
import io
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricebook.price_file import read_price_book
from agentspec_usage.runtime.clock import from_rfc3339
from agentspec_usage.store.sql.charging import NO_PRICES
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.contract.focus_1_2 import violations
from tests.unit.controlplane.planes import ADMIN, Plane, running_plane
from tests.unit.export.parquet_rows import rows_of_parquet
from tests.unit.store.values import frame

BOOK = read_price_book(
    """
currency: USD
entries:
  - match: {provider: openai, model: gpt}
    tiers: [{aboveInputTokens: 0, input: "2", cachedInput: "0.2", output: "10"}]
""",
    NO_PRICES,
)


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    settings = ControlPlaneSettings(request_rate=1000, request_burst=1000, cluster="prod")
    async with running_plane(tmp_path / "usage.db", settings, book=BOOK) as running:
        yield running


def call(seq: int, at: str, model: str = "gpt") -> UsageRecord:
    counts = TokenCounts(input=100, output=10, cache_read=40, calls=1)
    return UsageRecord(seq, from_rfc3339(at), SeriesKey("openai", model), counts)


@pytest.fixture
async def keys(plane: Plane) -> dict[str, dict[str, str]]:
    """Two teams' agents, which have reported; the headers that show their keys."""
    found = {}
    for number, namespace in enumerate(("red", "blue"), 1):
        found[namespace] = await plane.bearer("web", namespace=namespace, runtime="k8s")
        records = (
            call(1, "2026-08-31T23:59:59.999Z"),
            call(2, "2026-09-01T00:00:00Z"),
            call(3, "2026-09-20T12:00:00Z", "of-our-own"),
        )
        sealed = encode_frame(frame(0, 3, *records, instance_id=f"{number:032x}"))
        answer = await plane.http.post(
            "/usage/records", content=encode_records([sealed]), headers=found[namespace]
        )
        assert answer.status_code == 200, answer.text
    return found


async def rows(plane: Plane, query: str, headers: dict[str, str]) -> list[dict[str, str]]:
    answer = await plane.http.get(f"/usage/focus?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


@pytest.mark.usefixtures("keys")
async def test_the_administrator_gets_the_month_of_everybody(plane: Plane) -> None:
    answer = await plane.http.get("/usage/focus?month=2026-09", headers=ADMIN)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="focus-2026-09.csv"'
    assert answer.headers["content-length"] == str(len(answer.content))
    assert violations(answer.text) == []
    found = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [(row["ResourceId"], row["SkuMeter"], row["BilledCost"]) for row in found] == [
        (f"prod/{namespace}/web", *charge)
        for namespace in ("blue", "red")
        for charge in (
            ("Cached Input Tokens", "0.000008"),
            ("Input Tokens", "0.00012"),
            ("Output Tokens", "0.0001"),
        )
    ]


@pytest.mark.usefixtures("keys")
async def test_the_file_is_what_the_month_is_billed(plane: Plane) -> None:
    query = "start_time=2026-09-01&end_time=2026-09-30"
    billing = await plane.http.get(f"/usage/billing?{query}", headers=ADMIN)
    found = await rows(plane, "month=2026-09", ADMIN)
    billed = sum(Decimal(row["BilledCost"]) for row in found)
    assert billed == Decimal(billing.json()["totalCost"])


async def test_an_agent_s_key_gets_that_agent_s_rows_and_no_others(
    plane: Plane, keys: dict[str, dict[str, str]]
) -> None:
    found = await rows(plane, "month=2026-09", keys["red"])
    assert {row["SubAccountId"] for row in found} == {"red"}
    other = await plane.http.get("/usage/focus?month=2026-09&org_id=blue", headers=keys["red"])
    assert other.status_code == 403


@pytest.mark.usefixtures("keys")
async def test_a_namespace_alone_can_be_asked_for(plane: Plane) -> None:
    found = await rows(plane, "month=2026-09&org_id=blue", ADMIN)
    assert {row["SubAccountId"] for row in found} == {"blue"}


@pytest.mark.usefixtures("keys")
async def test_parquet_has_the_same_charges(plane: Plane) -> None:
    answer = await plane.http.get("/usage/focus?month=2026-09&format=parquet", headers=ADMIN)
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    costs = [row["BilledCost"] for row in rows_of_parquet(answer.content)]
    found = await rows(plane, "month=2026-09", ADMIN)
    assert costs == [Decimal(row["BilledCost"]) for row in found]


@pytest.mark.usefixtures("keys")
async def test_parquet_without_its_extra_is_refused_with_the_line_that_installs_it(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "arro3"]:
        monkeypatch.setitem(sys.modules, name, None)
    answer = await plane.http.get("/usage/focus?month=2026-09&format=parquet", headers=ADMIN)
    assert answer.status_code == 501
    assert "pip install 'agentspec-usage[parquet]'" in answer.json()["detail"]


async def test_what_has_no_price_is_said_beside_the_file(
    plane: Plane, keys: dict[str, dict[str, str]]
) -> None:
    answer = await plane.http.get("/usage/focus/unpriced?month=2026-09", headers=keys["red"])
    common = {
        "namespace": "red",
        "agent": "web",
        "costCenter": "",
        "team": "",
        "provider": "openai",
        "model": "of-our-own",
        "reason": "UnknownModel",
    }
    assert answer.json() == {
        "unpriced": [
            {**common, "meter": "Input Tokens", "quantity": 100},
            {**common, "meter": "Output Tokens", "quantity": 10},
        ]
    }


async def test_a_file_points_to_the_schema_of_its_columns(plane: Plane) -> None:
    answer = await plane.http.get("/usage/focus?month=2026-09", headers=ADMIN)
    link = answer.links["describedby"]["url"]
    schema = (await plane.http.get(f"http://plane{link}")).json()
    header = answer.text.strip().split(",")
    assert [column["ColumnName"] for column in schema["ColumnDefinition"]] == header


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param("month=2026-13", "month", id="no month"),
        pytest.param("month=november", "month", id="a name"),
        pytest.param("", "month", id="none"),
        pytest.param("month=2026-09&format=xlsx", "format", id="another format"),
        pytest.param("month=2026-09&zone=Asia%2FKolkata", "zone", id="a zone"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(
    plane: Plane, query: str, field: str
) -> None:
    answer = await plane.http.get(f"/usage/focus?{query}", headers=ADMIN)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize("path", ["/usage/focus", "/usage/focus/unpriced"])
async def test_nobody_without_a_key_gets_anything(plane: Plane, path: str) -> None:
    assert (await plane.http.get(f"{path}?month=2026-09")).status_code == 401
    wrong = {"X-Admin-Key": "wrong"}
    assert (await plane.http.get(f"{path}?month=2026-09", headers=wrong)).status_code == 403


@pytest.mark.usefixtures("keys")
async def test_one_month_is_read_at_a_time_and_the_next_when_it_is_done(plane: Plane) -> None:
    asked = "/usage/focus?month=2026-09"
    answers = await asyncio.gather(*(plane.http.get(asked, headers=ADMIN) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert (await plane.http.get(asked, headers=ADMIN)).status_code == 200
