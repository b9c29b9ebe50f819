"""That a period was closed is in the chain: none can be taken away, made up or exchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest

from agentspec_usage.metering.months import month_span
from agentspec_usage.metering.periods import Span
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.periods import Period
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.proof.signing import Signer
from agentspec_usage.store.sql.store import SqlStore
from tests.unit.store.forging import rewrite_chain, rewrite_period
from tests.unit.store.ledgers import Ledger, checks_of
from tests.unit.store.test_charges import BOOK
from tests.unit.store.test_periods import AUGUST, NOVEMBER, OCTOBER, SEPTEMBER, call
from tests.unit.store.test_tail import see, snapshot
from tests.unit.store.values import OTHER_INSTANCE, apply, frame, register, rows

JULY, LATER = (Period(name, "UTC", month_span(name, UTC)) for name in ("2026-07", "2026-11"))

GONE = "the period that it closed is not there as it was closed"
MADE_UP = "the journal does not say that it was closed then"


async def fill(database: str, signer: Signer) -> SignedCheckpoint:
    """Batch 1 closes August, of which there is nothing; 2 is a call and 3 what was seen of another
    process; 4 closes September with them, and 5 closes October."""
    store = open_store(database, book=BOOK)
    try:
        await store.close_period(AUGUST, NOVEMBER)
        used = SEPTEMBER.span.start
        await apply(store, await register(store), frame(0, 1, call(1, used)), now=NOVEMBER)
        await see(store, snapshot(9, OTHER_INSTANCE), used, NOVEMBER)
        await store.close_period(SEPTEMBER, NOVEMBER)
        await store.close_period(OCTOBER, NOVEMBER)
        signed = await store.sign_head(signer, NOVEMBER)
        assert signed is not None
        return signed
    finally:
        store.close()


@pytest.fixture(scope="module")
def ledger(signer: Signer, new_database: Callable[[], str]) -> Ledger:
    database = new_database()
    kept = asyncio.run(fill(database, signer))
    return Ledger(database, checks_of(database), kept)


def test_what_nobody_changed_verifies(ledger: Ledger) -> None:
    with ledger.opened() as now:
        result = now.verified(ledger.kept)
        kinds = now.connection.execute("SELECT kind FROM items ORDER BY item").fetchall()
        noted = now.connection.execute(
            "SELECT batch, first_item, last_item, closes IS NULL FROM batches ORDER BY batch"
        ).fetchall()
    assert result.finding is None
    assert (result.rows, result.batches, result.unsigned_rows) == (2, 5, 0)
    assert result.unsigned_periods == 0
    assert [kind for (kind,) in kinds] == ["record", "estimate"]
    assert [tuple(one) for one in noted] == [
        *((1, 1, 0, False), (2, 1, 1, True), (3, 2, 2, True)),
        *((4, 3, 2, False), (5, 3, 2, False)),
    ]


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        pytest.param(
            "DELETE FROM periods WHERE name = '2026-10'", f"batch 5: {GONE}", id="the newest"
        ),
        pytest.param(
            "DELETE FROM periods WHERE name = '2026-09'", f"batch 4: {GONE}", id="one between"
        ),
        pytest.param(
            "DELETE FROM periods WHERE name = '2026-08'", f"batch 1: {GONE}", id="the first"
        ),
        pytest.param("DELETE FROM periods", f"batch 1: {GONE}", id="all"),
        pytest.param(
            "UPDATE batches SET closes = NULL WHERE batch = 4",
            "batch 4: batch 4 has no rows and closes no period",
            id="what the chain says of one",
        ),
        pytest.param(
            "UPDATE batches SET closes = 'x' WHERE batch = 4",
            "batch 4: its hash is not that of what it says",
            id="another one in the chain",
        ),
        pytest.param(
            "UPDATE batches SET closes = 'x' WHERE batch = 2",
            "batch 2: batch 2 closes a period and has rows",
            id="a batch of rows that closes one",
        ),
        pytest.param(
            "UPDATE batches SET root = hash WHERE batch = 5",
            "batch 5: batch 5 closes a period and has rows",
            id="the root of no rows",
        ),
        pytest.param(
            "DELETE FROM batches WHERE batch = 4",
            "batch 5: expected batch 4, found batch 5",
            id="a batch that closes one",
        ),
    ],
)
def test_a_period_or_its_closing_that_is_gone_is_named(
    ledger: Ledger, statement: str, finding: str
) -> None:
    with ledger.opened() as now:
        now.change(statement)
        assert now.found() == finding


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"name": "2026-12"}, id="name"),
        pytest.param({"zone": "Asia/Kathmandu"}, id="zone"),
        pytest.param({"closed_at": NOVEMBER - 1}, id="when it was closed"),
        pytest.param({"span": Span(OCTOBER.span.start, LATER.span.end)}, id="end"),
        pytest.param({"span": Span(JULY.span.start, OCTOBER.span.end)}, id="start"),
        pytest.param({"statement": "{}"}, id="statement"),
    ],
)
def test_a_period_that_was_written_anew_with_a_hash_of_its_own_is_missed(
    ledger: Ledger, changes: dict[str, Any]
) -> None:
    with ledger.opened() as now:
        rewrite_period(now.connection, "2026-10", **changes)
        assert now.found() == f"batch 5: {GONE}"


@pytest.mark.parametrize(
    "edit",
    [
        *(f"{name} = {name} + 1" for name in ("end_at", "start_at", "closed_at", "last_item")),
        *(f"{name} = 'x'" for name in ("name", "zone", "statement", "hash")),
    ],
)
def test_an_edit_of_any_column_of_a_period_is_found(ledger: Ledger, edit: str) -> None:
    with ledger.opened() as now:
        now.change(f"UPDATE periods SET {edit} WHERE name = '2026-09'")
        assert now.found() != ""


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"head":{"batch":3,"hash":"","last":2}}'])
def test_a_statement_that_is_none_is_named_also_by_a_chain_that_was_written_for_it(
    ledger: Ledger, text: str
) -> None:
    with ledger.opened() as now:
        hashed = rewrite_period(now.connection, "2026-10", statement=text)
        rewrite_chain(now.connection, {5: hashed})
        assert now.found() == (
            "period 2026-10: its statement is a text that this program does not write"
        )
        assert now.found(ledger.kept) != ""


@pytest.mark.parametrize("forged", [pytest.param(JULY, id="first"), pytest.param(LATER, id="last")])
def test_a_period_that_was_made_up_is_named(ledger: Ledger, forged: Period) -> None:
    with ledger.opened() as now:
        rewrite_period(now.connection, "2026-10", instead=False, name=forged.name, span=forged.span)
        assert now.found() == f"period {forged.name}: {MADE_UP}"


def test_two_periods_that_changed_places_are_missed(ledger: Ledger) -> None:
    with ledger.opened() as now:
        rewrite_period(now.connection, "2026-08", name="x", span=Span(0, 1))
        rewrite_period(now.connection, "2026-09", span=AUGUST.span)
        rewrite_period(now.connection, "x", name="2026-08", span=SEPTEMBER.span)
        assert now.found() == f"batch 1: {GONE}"


def test_a_chain_that_closes_them_in_another_order_is_named_and_another_one_than_was_kept(
    ledger: Ledger,
) -> None:
    with ledger.opened() as now:
        closes = dict(
            now.connection.execute("SELECT batch, closes FROM batches WHERE closes IS NOT NULL")
        )
        rewrite_chain(now.connection, {4: closes[5], 5: closes[4]})
        assert now.found() == f"period 2026-09: {MADE_UP}"
        assert now.found(ledger.kept) == (
            "the checkpoint at batch 5: the chain was another one then: it was written anew"
        )


def test_a_period_that_is_closed_twice_in_the_chain_is_named(ledger: Ledger) -> None:
    with ledger.opened() as now:
        (closes,) = now.connection.execute("SELECT closes FROM batches WHERE batch = 5").fetchone()
        rewrite_chain(now.connection, {4: closes})
        assert now.found() == f"period 2026-09: {MADE_UP}"


def test_a_period_that_was_cut_off_with_its_closing_shows_by_a_head_that_was_kept(
    ledger: Ledger,
) -> None:
    with ledger.opened() as now:
        now.change(
            "DELETE FROM periods WHERE name = '2026-10'",
            "DELETE FROM batches WHERE batch = 5",
            "DELETE FROM checkpoints",
        )
        assert now.found() == ""
        assert now.found(ledger.kept) == (
            "the checkpoint at batch 5: the chain ends before it, at batch 4: its end is missing"
        )


async def test_a_period_that_no_signed_head_covers_is_told(
    store: SqlStore, database: str, signer: Signer
) -> None:
    await store.close_period(AUGUST, NOVEMBER)
    assert await store.sign_head(signer, NOVEMBER) is not None, "a closing is signed like a row"
    await store.close_period(SEPTEMBER, NOVEMBER)
    found = verify_database(database)
    assert (found.finding, found.unsigned_rows, found.unsigned_periods) == (None, 0, 1)
    assert await store.sign_head(signer, NOVEMBER) is not None
    assert verify_database(database).unsigned_periods == 0


async def test_closing_twice_adds_nothing_to_the_chain(store: SqlStore, database: str) -> None:
    for _ in range(2):
        await store.close_period(AUGUST, NOVEMBER)
    assert rows(database, "SELECT count(*) FROM batches") == [(1,)]


async def test_rows_after_a_closing_follow_it(store: SqlStore, database: str) -> None:
    await store.close_period(OCTOBER, NOVEMBER)
    agent = await register(store)
    for since in (0, 1):
        await apply(store, agent, frame(since, since + 1), now=NOVEMBER)
    assert rows(database, "SELECT first_item, last_item FROM batches ORDER BY batch") == [
        *((1, 0), (1, 1), (2, 2))
    ]
    assert verify_database(database).finding is None
