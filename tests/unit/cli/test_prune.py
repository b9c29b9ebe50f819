"""``agentspec-usage prune``: says what it would drop, drops it, and the proof says so too."""

from __future__ import annotations

import asyncio
from datetime import UTC
from pathlib import Path

import pytest

from agentspec_usage.cli.main import main
from agentspec_usage.metering.months import month_span
from agentspec_usage.metering.periods import DAY_MS
from agentspec_usage.store.periods import Period
from agentspec_usage.store.sqlite.store import SqliteStore
from tests.unit.store.old_calls import stored
from tests.unit.store.test_periods import NOVEMBER

PAST = Period("2024-01", "UTC", month_span("2024-01", UTC))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Two calls in a month that was closed long ago, and one after it."""
    path = tmp_path / "usage.db"

    async def fill() -> None:
        store = SqliteStore(path)
        try:
            start, end = PAST.span.start, PAST.span.end
            await stored(store, start, start + DAY_MS, end, now=end)
            await store.close_period(PAST, NOVEMBER)
        finally:
            store.close()

    asyncio.run(fill())
    return path


def test_old_calls_are_dropped_once_and_verify_tells_of_them(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    assert main(["signing-key", f"--private-key={private}", f"--public-key={public}"]) == 0
    prune = ["prune", f"--database={database}", "--keep-months=12"]
    assert main([*prune, "--dry-run"]) == 0
    assert capsys.readouterr().out == (
        "up to 2 rows of before 2024-02-01T00:00:00.000Z would be dropped\n"
    )
    for rows in (2, 0):
        assert main([*prune, f"--signing-key-file={private}"]) == 0
        said = capsys.readouterr().out
        assert said == f"{rows} rows of before 2024-02-01T00:00:00.000Z were dropped\n"
    assert main(["verify", f"--database={database}", f"--public-key={public}"]) == 0
    said = capsys.readouterr().out
    assert "1 rows in 4 batches verified" in said
    assert "1 periods were closed after the last signed head" in said
    assert "2 rows of before 2024-02-01T00:00:00.000Z were dropped by policy" in said


def test_without_a_closed_month_nothing_is_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SqliteStore(tmp_path / "usage.db").close()
    assert main(["prune", f"--database={tmp_path / 'usage.db'}", "--keep-months=1"]) == 0
    assert "was closed: nothing is dropped" in capsys.readouterr().out
