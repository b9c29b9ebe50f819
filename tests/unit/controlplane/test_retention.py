"""The control plane lets go of old calls by itself, and says once when it cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path

import pytest

from agentspec_usage.controlplane.retention import Retention
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.store.opening import verify_database
from agentspec_usage.store.sqlite.store import SqliteStore
from tests.fakes.hand_clock import HandClock
from tests.unit.controlplane.planes import ADMIN, running_plane
from tests.unit.store.ledgers import good
from tests.unit.store.old_calls import EVER, TIMES, made_signer, stored
from tests.unit.store.test_periods import AUGUST, NOVEMBER, SEPTEMBER
from tests.unit.store.values import edited


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Three calls in each of August, September and October, of which two are closed."""
    opened = SqliteStore(tmp_path / "usage.db")
    try:
        await stored(opened, *TIMES)
        for month in (AUGUST, SEPTEMBER):
            await opened.close_period(month, NOVEMBER)
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("months", "left"),
    [
        pytest.param(1, 3, id="October is kept"),
        pytest.param(2, 6, id="September is kept"),
        pytest.param(3, 9, id="all are kept"),
    ],
)
async def test_calls_of_months_that_are_old_enough_are_dropped(
    store: SqliteStore, tmp_path: Path, months: int, left: int
) -> None:
    retention = Retention(store, made_signer(), HandClock(NOVEMBER), months, UTC)
    for _ in range(2):
        await retention.round()
        assert (await store.calls(EVER, 100)).total == left
    assert verify_database(str(tmp_path / "usage.db"), is_signed=good).finding is None


async def test_a_month_that_was_never_closed_is_kept(store: SqliteStore) -> None:
    years_later = HandClock(NOVEMBER + 5 * 365 * 86_400_000)
    await Retention(store, None, years_later, 1, UTC).round()
    assert (await store.calls(EVER, 100)).total == 3


async def test_sums_that_were_changed_keep_everything_and_are_told_once(
    store: SqliteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with edited(str(tmp_path / "usage.db")) as connection:
        connection.execute("UPDATE bucket_sums SET input = 1 WHERE input = 1000")
    retention = Retention(store, None, HandClock(NOVEMBER), 1, UTC)
    for _ in range(2):
        await retention.round()
    assert (await store.calls(EVER, 100)).total == 9
    (said,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert "it is not the sum of its rows" in vars(said)["reason"]


async def test_a_month_that_was_dropped_is_not_priced_again(tmp_path: Path) -> None:
    async with running_plane(tmp_path / "usage.db", ControlPlaneSettings()) as plane:
        await stored(plane.store, *TIMES)
        await plane.store.close_period(AUGUST, NOVEMBER)
        await Retention(plane.store, None, HandClock(NOVEMBER), 2, UTC).round()
        body = {"month": "2026-08"}
        refused = await plane.http.post("/usage/reprice", json=body, headers=ADMIN)
        assert refused.status_code == 409
        assert "were dropped and cannot be priced again" in refused.text
