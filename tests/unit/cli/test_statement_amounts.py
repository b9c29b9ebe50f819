"""However small an amount is, it is written as people and spreadsheets read it: digits alone."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path

import pytest

from agentspec_usage.cli.main import main
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.store.sqlite.store import SqliteStore
from tests.unit.store.test_charges import BOOK, GPT
from tests.unit.store.values import NOW, apply, frame, register


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "usage.db"

    async def fill() -> None:
        store = SqliteStore(path, book=BOOK)
        try:
            counts = TokenCounts(input=1, cache_read=1, calls=1)
            await apply(store, await register(store), frame(0, 1, UsageRecord(1, NOW, GPT, counts)))
        finally:
            store.close()

    asyncio.run(fill())
    return path


def test_an_amount_has_no_exponent(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["statement", f"--database={database}", "--month=2026-09", "--digits=12"]
    assert main([*command, "--format=csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["amount"] == "0.000000200000"
    assert main([*command, "--format=json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["totals"] == {"USD": "0.000000200000"}
    assert made["lines"][0]["amount"] == "0.000000200000"
