"""What is left of dropped rows is proved: whatever is changed of it afterwards is found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from agentspec_usage.metering.counts import COMPONENTS
from agentspec_usage.metering.event_sealing import EventSealing
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.store.errors import StoreError
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.periods import Period
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.proof.signing import Signer
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.retention import PruningPlan
from agentspec_usage.store.sql.store import SqlStore
from tests.unit.metering.usage_events import drawing, event
from tests.unit.store.forging import rewrite_period
from tests.unit.store.ledgers import Ledger, checks_of, good
from tests.unit.store.old_calls import (
    TIMES,
    made_signer,
    pruned,
    stored,
)
from tests.unit.store.test_charges import BOOK
from tests.unit.store.test_periods import AUGUST, NOVEMBER, OCTOBER, SEPTEMBER
from tests.unit.store.test_repricing import DEARER
from tests.unit.store.test_tail import (
    MICRO,
    START,
    YESTERDAY,
    book,
    charged,
    deliver,
    see,
    snapshot,
)
from tests.unit.store.values import edited, register, rows

LEFT = "what is left of dropped rows"


async def fill(database: str, signer: Signer | None) -> SignedCheckpoint:
    """Nine rows, of which the first and the third were dropped: the second was priced again."""
    store = open_store(database, book=BOOK)
    await stored(store, *TIMES)
    await store.close_period(AUGUST, NOVEMBER)
    store.close()
    store = open_store(database, book=DEARER)
    await store.reprice(UsageFilter(Span(TIMES[1], TIMES[1] + 1)), NOVEMBER)
    await pruned(store, AUGUST.span.end, signer)
    kept = await store.sign_head(signer or made_signer(), NOVEMBER)
    store.close()
    assert kept is not None
    return kept


@pytest.fixture(scope="module", params=[True, False], ids=["signed", "unsigned"])
def ledger(request: pytest.FixtureRequest, new_database: Callable[[], str]) -> Ledger:
    database = new_database()
    kept = asyncio.run(fill(database, made_signer() if request.param else None))
    return Ledger(database, checks_of(database), kept)


def test_what_nobody_changed_verifies(ledger: Ledger) -> None:
    with ledger.opened() as now:
        assert now.found(ledger.kept) == ""


EDITS = [
    pytest.param("UPDATE pruned SET batch = 2", LEFT, id="dropped less far"),
    pytest.param("UPDATE pruned SET at = at + 1", LEFT, id="another time"),
    pytest.param("UPDATE pruned SET until = until + 900000", LEFT, id="another end"),
    pytest.param("DELETE FROM pruned", "row 1: it is missing", id="no mark"),
    pytest.param("UPDATE pruned_cells SET input = input + 1", LEFT, id="a total"),
    pytest.param("UPDATE pruned_cells SET seqs = seqs + 1", LEFT, id="seqs"),
    pytest.param("DELETE FROM pruned_cells", LEFT, id="totals that are gone"),
    pytest.param("DELETE FROM items WHERE item = 2", LEFT, id="a row that stayed"),
    pytest.param("UPDATE items SET input = 5 WHERE item = 2", "row 2", id="a number of it"),
    pytest.param(
        "UPDATE bucket_sums SET start = start + 900000 WHERE input = 1000", LEFT, id="when it was"
    ),
    pytest.param("UPDATE bucket_sums SET pico = pico + 1 WHERE input = 1000", LEFT, id="money"),
    pytest.param("DELETE FROM bucket_sums WHERE input = 3000", LEFT, id="a sum that is gone"),
    pytest.param(
        "UPDATE day_sums SET input = 1 WHERE input = 1000", "day_sums", id="the sum of a day"
    ),
    pytest.param(
        "UPDATE instance_totals SET input = input + 1 WHERE path = 'applied'",
        "instance_totals: instance 1",
        id="the total of an instance",
    ),
    pytest.param("UPDATE instances SET seq = seq + 1", "instances: instance 1", id="a watermark"),
    pytest.param("UPDATE batches SET root = hash WHERE batch = 1", "batch 1", id="a batch"),
    pytest.param("DELETE FROM items WHERE item = 5", "row 5: it is missing", id="a newer row"),
]


@pytest.mark.parametrize(("statement", "finding"), EDITS)
def test_an_edit_of_what_is_left_is_found(ledger: Ledger, statement: str, finding: str) -> None:
    with ledger.opened() as now:
        now.change(statement)
        assert finding in now.found()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((name, 1) for name in ("batch", "until", "at")),
        *((name, b"x") for name in ("kept", "totals", "sums", "signature")),
        ("key_id", "0123456789abcdef"),
    ],
)
def test_an_edit_of_any_column_of_the_seal_is_found(
    ledger: Ledger, column: str, value: object
) -> None:
    with ledger.opened() as now:
        now.change(f"UPDATE pruned SET {column} = ?", values=(value,))
        assert LEFT in now.found()


@pytest.mark.parametrize("column", ["seqs", *COMPONENTS])
def test_an_edit_of_any_total_of_dropped_rows_is_found(ledger: Ledger, column: str) -> None:
    with ledger.opened() as now:
        now.change(f"UPDATE pruned_cells SET {column} = {column} + 1")
        assert now.found() == f"{LEFT}: the totals of dropped rows are not what they were"


@pytest.mark.parametrize("change", [1, -1])
async def test_the_watermark_of_an_instance_whose_rows_all_were_dropped_is_proved(
    database: str, change: int
) -> None:
    store = open_store(database)
    await stored(store, *TIMES[:3])
    await store.close_period(AUGUST, NOVEMBER)
    assert await pruned(store, AUGUST.span.end, made_signer()) == 3
    store.close()
    assert verify_database(database).finding is None
    with edited(database) as connection:
        connection.execute("UPDATE instances SET seq = seq + ?", (change,))
    found = str(verify_database(database).finding)
    assert found.startswith(f"instances: instance 1: seq is {'above' if change > 0 else 'below'}")


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        pytest.param("2026-08", f"{LEFT}: no period was closed that ended at", id="dropped"),
        pytest.param("2026-09", "batch 11: the period that it closed is not there", id="newer"),
    ],
)
async def test_a_closed_period_that_is_gone_is_missed_also_where_rows_were_dropped(
    database: str, name: str, finding: str
) -> None:
    store = open_store(database)
    await stored(store, *TIMES)
    await store.close_period(AUGUST, NOVEMBER)
    await store.close_period(SEPTEMBER, NOVEMBER)
    assert await pruned(store, AUGUST.span.end, made_signer()) == 3
    store.close()
    assert verify_database(database, is_signed=good).finding is None
    with edited(database) as connection:
        connection.execute("DELETE FROM periods WHERE name = ?", (name,))
    assert str(verify_database(database).finding).startswith(finding)


async def test_a_period_whose_rows_were_dropped_cannot_be_another_one(database: str) -> None:
    store = open_store(database)
    await stored(store, *TIMES)
    await store.close_period(AUGUST, NOVEMBER)
    assert await pruned(store, AUGUST.span.end, made_signer()) == 3
    store.close()
    with edited(database) as connection:
        rewrite_period(connection, "2026-08", zone="Asia/Kathmandu")
    found = str(verify_database(database).finding)
    assert found == "batch 10: the period that it closed is not there as it was closed"


async def test_nothing_is_dropped_of_a_chain_that_begins_with_a_closing(
    store: SqlStore, database: str
) -> None:
    """Else the month could not be priced again, for no row that left."""
    await store.close_period(AUGUST, NOVEMBER)
    assert await store.plan_pruning(AUGUST.span.end) == PruningPlan()
    await stored(store, *TIMES)
    assert await store.plan_pruning(AUGUST.span.end) == PruningPlan()
    assert rows(database, "SELECT count(*) FROM pruned") == [(0,)]
    await store.close_period(SEPTEMBER, NOVEMBER)
    await store.close_period(OCTOBER, NOVEMBER)
    assert await pruned(store, OCTOBER.span.end, made_signer(), limit=1) == 9
    assert verify_database(database, is_signed=good).finding is None


async def test_what_another_key_signed_is_named(database: str) -> None:
    await fill(database, made_signer())
    found = verify_database(database, is_signed=lambda signed: False)
    assert str(found.finding) == f"{LEFT}: its signature is not of this key"


async def test_nothing_is_dropped_while_the_sums_are_not_those_of_the_rows(database: str) -> None:
    store = open_store(database)
    await stored(store, *TIMES)
    await store.close_period(AUGUST, NOVEMBER)
    with edited(database) as connection:
        connection.execute("UPDATE bucket_sums SET input = 1 WHERE input = 1000")
    try:
        with pytest.raises(StoreError, match="it is not the sum of its rows: nothing is dropped"):
            await store.plan_pruning(AUGUST.span.end)
    finally:
        store.close()
    assert rows(database, "SELECT count(*) FROM items") == [(9,)]


async def test_an_estimate_stays_until_it_is_taken_back(database: str) -> None:
    store = open_store(database, book=book("1"))
    await see(store, snapshot(9), START - 1)
    await store.close_period(YESTERDAY, START)
    assert await pruned(store, START) == 0
    await deliver(store, 0, 9, START + 1)
    assert await charged(store) == (9, 9 * MICRO, 0)
    today = Period("today", "UTC", Span(START, START + DAY_MS))
    await store.close_period(today, START + DAY_MS)
    assert await pruned(store, START) == 0, "what took it back is newer"
    assert await pruned(store, START + DAY_MS) == 11
    assert await charged(store) == (9, 9 * MICRO, 0)
    store.close()
    assert rows(database, "SELECT count(*) FROM items") == [(0,)]
    assert verify_database(database).finding is None


async def test_sessions_of_events_are_cut_and_go_on(database: str) -> None:
    store = open_store(database)
    agent = await register(store)
    sealing = EventSealing(drawing())

    async def flush(at: int, *sessions: str) -> None:
        events = [replace(event(session), agent_id=agent.agent_id, at=at) for session in sessions]
        frames = sealing.frames(events)
        await store.flush_events(frames, NOVEMBER)
        sealing.durable(frames)

    await flush(AUGUST.span.start, "a", "b")
    await flush(AUGUST.span.start + DAY_MS, "a", "c")
    await flush(SEPTEMBER.span.start, "a", "b")
    await store.close_period(AUGUST, NOVEMBER)
    assert await pruned(store, AUGUST.span.end, made_signer(), limit=1) == 4
    await flush(SEPTEMBER.span.start + 1, "a", "c")
    store.close()
    assert verify_database(database, is_signed=good).finding is None
    assert rows(database, "SELECT count(*) FROM usage_events") == [(4,)]
    with edited(database) as connection:
        connection.execute("DELETE FROM usage_events WHERE item = 5")
    assert verify_database(database).finding is not None
