"""The demo's statement is that of the database, and its proof can fail."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricebook.opening import open_price_book
from agentspec_usage.store.opening import open_store
from agentspec_usage.store.proof.signing import new_key_pair, read_signer
from examples.demo.chargeback import (
    Stated,
    a_change_is_found,
    months_since,
    nothing_was_changed,
    show_statement,
    stated_until_equal,
)
from examples.demo.control_plane import DATABASE, HEADS, PUBLIC_KEY
from tests.unit.store.values import NOW, apply, frame, register

MONTH = f"{datetime.fromtimestamp(NOW / 1000, tz=UTC):%Y-%m}"


def call(seq: int) -> UsageRecord:
    counts = TokenCounts(input=1000 * seq, output=100, calls=1)
    return UsageRecord(seq, NOW, SeriesKey("openai", "gpt-5"), counts)


def kept(directory: Path, *calls: UsageRecord) -> Path:
    """The files of a control plane that stored ``calls``."""
    private, public = new_key_pair()
    key = directory / "signing.pem"
    key.touch(0o600)
    key.write_bytes(private)
    (directory / PUBLIC_KEY).write_bytes(public)

    async def store_all() -> str:
        store = open_store(str(directory / DATABASE), book=open_price_book(""))
        try:
            agent = await register(store)
            if calls:
                await apply(store, agent, frame(0, len(calls), *calls))
            signed = await store.sign_head(read_signer(key), NOW)
            return signed.text if signed is not None else ""
        finally:
            store.close()

    (directory / HEADS).write_text(asyncio.run(store_all()))
    return directory


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """With three calls, of which the third is the dearest."""
    return kept(tmp_path, call(1), call(2), call(3))


def change(directory: Path) -> None:
    with closing(sqlite3.connect(directory / DATABASE)) as database, database:
        database.execute("UPDATE items SET output = 101 WHERE item = 1")


def test_the_tokens_of_its_statements_are_those_that_are_stored(directory: Path) -> None:
    stated = stated_until_equal(directory, [MONTH, "2001-01"], {"agent": 6300}, seconds=0)
    assert stated == Stated(6300, {"agent": 6300})


def test_it_shows_the_statement_under_the_command_that_made_it(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_statement(directory, [MONTH])
    command, title, *_ = capsys.readouterr().out.splitlines()
    assert command.startswith(f"$ agentspec-usage statement --database usage.db --month {MONTH} ")
    assert title == f"Usage of {MONTH} UTC"


def test_a_database_as_it_was_written_passes(directory: Path) -> None:
    assert nothing_was_changed(directory)


def test_a_changed_database_fails(directory: Path) -> None:
    change(directory)
    assert not nothing_was_changed(directory)


def test_a_changed_bit_is_found_and_the_database_itself_is_left_alone(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert a_change_is_found(directory)
    assert "CHANGED: row 3: it is not what was accepted" in capsys.readouterr().out
    assert nothing_was_changed(directory)


def test_a_change_that_is_not_found_where_it_was_made_is_no_proof(directory: Path) -> None:
    change(directory)  # which is found before the one in the copy
    assert not a_change_is_found(directory)


def test_without_rows_nothing_is_proved(tmp_path: Path) -> None:
    assert not a_change_is_found(kept(tmp_path))


def test_a_demo_that_goes_on_into_the_next_month_has_two_statements() -> None:
    now = datetime.now(UTC)
    assert months_since(datetime(2001, 1, 31, tzinfo=UTC))[0] == "2001-01"
    assert months_since(now)[0] == f"{now:%Y-%m}"
    assert len(months_since(datetime(2001, 1, 31, tzinfo=UTC))) == 2
