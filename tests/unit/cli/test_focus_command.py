"""``agentspec-usage focus``: a file that sums to the statement, whole or not there."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from agentspec_usage.cli.main import main
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.store.opening import open_store
from tests.unit.export.parquet_rows import rows_of_parquet
from tests.unit.store.test_charges import BOOK, GPT
from tests.unit.store.values import NOW, apply, frame, register

MONTH = "--month=2026-09"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "usage.db"

    async def fill() -> None:
        store = open_store(str(path), book=BOOK)
        try:
            counts = TokenCounts(input=1001, cache_read=1, output=7, calls=1)
            local = SeriesKey("openai", "of-our-own")
            records = UsageRecord(1, NOW, GPT, counts), UsageRecord(2, NOW, local, counts)
            await apply(store, await register(store), frame(0, 2, *records))
        finally:
            store.close()

    asyncio.run(fill())
    return path


def test_the_file_sums_to_the_statement_of_the_month(
    database: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["statement", f"--database={database}", MONTH, "--digits=12", "--format=json"]) == 0
    total = json.loads(capfd.readouterr().out)["totals"]["USD"]
    for kind in ("csv", "parquet"):
        out = tmp_path / f"focus.{kind}"
        command = ["focus", f"--database={database}", MONTH, f"--format={kind}"]
        assert main([*command, f"--output={out}", "--cluster=prod"]) == 0
        content = out.read_bytes()
        if kind == "csv":
            rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
            assert {row["ResourceId"] for row in rows} == {"prod/team/agent"}
            costs = [Decimal(row["BilledCost"]) for row in rows]
        else:
            costs = [row["BilledCost"] for row in rows_of_parquet(content)]
        assert sum(costs) == Decimal(total)


def test_what_the_file_has_and_has_not_is_told_beside_it(
    database: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["focus", f"--database={database}", MONTH]) == 0
    told = capfd.readouterr()
    assert told.out.startswith("BilledCost,")
    assert told.err.splitlines() == [
        "3 rows: 0.0020702 USD",
        "no price (UnknownModel): 1,001 Input Tokens of of-our-own by team/agent",
        "no price (UnknownModel): 7 Output Tokens of of-our-own by team/agent",
    ]


def test_a_namespace_without_usage_has_a_file_without_rows(
    database: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["focus", f"--database={database}", MONTH, "--namespace=other"]) == 0
    told = capfd.readouterr()
    assert len(told.out.splitlines()) == 1
    assert told.err == "0 rows: nothing billed\n"


def test_a_file_that_cannot_be_made_leaves_the_old_one(
    database: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "focus.csv"
    out.write_text("the old one")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("ALTER TABLE day_sums RENAME TO gone")
    assert main(["focus", f"--database={database}", MONTH, f"--output={out}"]) == 2
    assert out.read_text() == "the old one"
    assert not list(tmp_path.glob("*.part"))
    assert str(database) in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--month=2026-13"], "--month 2026-13: expected a month", id="month"),
        pytest.param([MONTH, "--output=nowhere/focus.csv"], "--output nowhere", id="output"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    database: Path, arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["focus", f"--database={database}", *arguments]) == 2
    assert said in capfd.readouterr().err
