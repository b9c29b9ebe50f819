"""``agentspec-usage close``: a month is closed in its turn and not too early, or on purpose."""

from __future__ import annotations

import asyncio
from datetime import UTC
from pathlib import Path

import pytest

from agentspec_usage.cli.main import main
from agentspec_usage.metering.months import month_of, month_span, months_before
from agentspec_usage.store.sqlite.store import SqliteStore
from tests.fixtures.last_month import LAST_MONTH
from tests.unit.store.old_calls import stored

LAST = month_span(LAST_MONTH, UTC)
BEFORE_LAST = month_of(months_before(LAST.start, 1, UTC), UTC)
"""Over for a day at least, whenever this runs."""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A call in each of the last two months."""
    path = tmp_path / "usage.db"

    async def fill() -> None:
        store = SqliteStore(path)
        try:
            await stored(store, month_span(BEFORE_LAST, UTC).start, LAST.start, now=LAST.end)
        finally:
            store.close()

    asyncio.run(fill())
    return path


def close(database: Path, month: str, *flags: str) -> int:
    return main(["close", f"--database={database}", f"--month={month}", *flags])


def test_months_are_closed_from_the_first_that_has_usage(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert close(database, LAST_MONTH, "--close-grace-hours=0") == 2
    assert f"expected {BEFORE_LAST} to be closed first" in capsys.readouterr().err
    for month in (BEFORE_LAST, LAST_MONTH):
        assert close(database, month, "--close-grace-hours=0") == 0
        assert capsys.readouterr().out.startswith(f"{month} UTC was closed at ")


def test_one_may_begin_with_a_later_month(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert close(database, LAST_MONTH, "--close-grace-hours=0", "--begin") == 0
    assert close(database, BEFORE_LAST) == 2
    assert "expected the period that begins at" in capsys.readouterr().err


def test_a_month_that_was_over_just_now_is_closed_early_alone(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert close(database, BEFORE_LAST) == 0
    a_month = "--close-grace-hours=744"  # which the present one is not over for
    assert close(database, LAST_MONTH, a_month) == 2
    assert "or early on purpose" in capsys.readouterr().err
    assert close(database, LAST_MONTH, a_month, "--early") == 0


@pytest.mark.parametrize("hours", ["-1", "745", "soon", "nan"])
def test_a_grace_is_some_hours_of_a_month(
    database: Path, hours: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        close(database, BEFORE_LAST, f"--close-grace-hours={hours}")
    assert "--close-grace-hours" in capsys.readouterr().err
