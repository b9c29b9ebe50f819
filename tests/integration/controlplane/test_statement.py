"""A month's statement of what a real control plane stored, as finance would ask for it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.months import month_span
from agentspec_usage.metering.periods import DAY_MS
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.fixtures.last_month import LAST_MONTH
from tests.integration.controlplane.processes import ADMIN, ControlPlane, control_plane
from tests.unit.store.values import frame

COMMAND = Path(sys.executable).with_name("agentspec-usage")

PRICES = """
currency: USD
entries:
  - match: {provider: openai, model: gpt}
    from: 2020-01-01
    tiers: [{aboveInputTokens: 0, input: "1.25", output: "10"}]
"""


NEPAL = month_span(LAST_MONTH, ZoneInfo("Asia/Kathmandu"))


def record(seq: int, at: int, model: str = "gpt") -> UsageRecord:
    counts = TokenCounts(input=1000 * seq, output=100 * seq, calls=1)
    return UsageRecord(seq, at, SeriesKey("openai", model), counts)


def report(plane: ControlPlane, namespace: str, name: str, *records: UsageRecord) -> None:
    body = {"agentName": name, "runtime": "k8s", "namespace": namespace}
    key = httpx.post(f"{plane.url}/api/v1/register", json=body, headers=ADMIN).json()["apiKey"]
    sealed = encode_frame(frame(0, len(records), *records))
    answer = httpx.post(
        f"{plane.url}/api/v1/usage/records",
        content=encode_records([sealed]),
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    directory = tmp_path_factory.mktemp("statement")
    prices = directory / "prices.yaml"
    prices.write_text(PRICES)
    with control_plane(directory, f"--price-book={prices}") as running:
        report(
            running,
            "red",
            "web",
            record(1, NEPAL.start - 1),
            record(2, NEPAL.start),
            record(3, NEPAL.end - 1),
            record(4, NEPAL.end),
        )
        report(running, "blue", "bot", record(1, NEPAL.start + 9 * DAY_MS, "of-our-own"))
        yield running


def run(plane: ControlPlane, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "statement", "--database", str(plane.database), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_table_adds_up_and_says_what_has_no_price(plane: ControlPlane) -> None:
    done = run(plane, f"--month={LAST_MONTH}", "--zone=Asia/Kathmandu", "--digits=6")
    assert done.returncode == 0, done.stderr
    text, state = done.stdout.rsplit("\n", 2)[0], done.stdout.splitlines()[-1]
    assert state.startswith("Open: amounts may grow. Ledger ")
    assert text == (
        f"Usage of {LAST_MONTH} Asia/Kathmandu\n"
        "\n"
        "NAMESPACE   AGENT   MODEL        CALLS   INPUT   OUTPUT   TOKENS       COST\n"
        "red         web     gpt              2   5,000      500    5,500   0.011250   USD\n"
        "blue        bot     of-our-own       1   1,000      100    1,100          -\n"
        "TOTAL                                3   6,000      600    6,600   0.011250   USD\n"
        "\n"
        "1 calls have no price, or a part without one: not in the amounts"
    )


@pytest.mark.parametrize(
    ("zone", "tokens"),
    [
        pytest.param("Asia/Kathmandu", 6600, id="at a quarter past"),
        pytest.param("UTC", 8800, id="utc"),
        pytest.param("Pacific/Apia", 4400, id="ahead"),
    ],
)
def test_a_month_is_that_of_its_zone(plane: ControlPlane, zone: str, tokens: int) -> None:
    done = run(plane, f"--month={LAST_MONTH}", f"--zone={zone}", "--format=json")
    assert json.loads(done.stdout)["tokens"] == tokens


def test_csv_has_exact_amounts_and_rounded_ones_that_sum_to_the_total(plane: ControlPlane) -> None:
    done = run(plane, f"--month={LAST_MONTH}", "--by=namespace", "--format=csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["namespace"], row["exact"], row["amount"]) for row in rows] == [
        ("red", "0.01575", "0.02"),
        ("blue", "", ""),
    ]
    whole = json.loads(run(plane, f"--month={LAST_MONTH}", "--format=json").stdout)
    assert sum(Decimal(row["amount"] or 0) for row in rows) == Decimal(whole["totals"]["USD"])


def test_the_control_plane_answers_the_same(plane: ControlPlane) -> None:
    month = month_span(LAST_MONTH, UTC)
    times = f"start_time={to_rfc3339(month.start)}&end_time={to_rfc3339(month.end)}"
    billed = plane.get(f"/api/v1/usage/billing?{times}", headers=ADMIN).json()
    whole = json.loads(run(plane, f"--month={LAST_MONTH}", "--format=json", "--digits=12").stdout)
    assert billed["totalTokens"] == whole["tokens"]
    assert Decimal(billed["totalCost"]) == Decimal(whole["totals"]["USD"])
    assert (billed["currency"], billed["unpricedCount"]) == ("USD", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--month=2025-13",), "--month 2025-13: expected a month", id="month"),
        pytest.param(("--month=nov",), "--month nov: expected a month", id="no month"),
        pytest.param(("--month=2025-11", "--zone=Mars"), "--zone Mars: expected", id="zone"),
        pytest.param(("--month=2025-11", "--by=colour"), "--by colour: expected some of", id="by"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    plane: ControlPlane, arguments: tuple[str, ...], message: str
) -> None:
    done = run(plane, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
