"""Whatever is changed in the database afterwards is found, and named where it is."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import COMPONENTS, TokenCounts
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.proof.rows import DETAIL_COLUMNS, ROW_COLUMNS
from agentspec_usage.store.proof.signing import new_key_pair, signed_by
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.instances import instance_hash
from tests.unit.store.ledgers import Ledger, call
from tests.unit.store.values import OTHER_INSTANCE, apply, edited, frame, register

ROWS = 12


def test_what_nobody_changed_verifies(ledger: Ledger) -> None:
    with ledger.opened() as now:
        result = now.verified(ledger.kept)
    assert result.finding is None
    assert (result.rows, result.batches, result.signed) == (ROWS, 4, 2)
    assert (result.unsigned_rows, result.erased) == (0, 0)


def test_an_empty_ledger_verifies(database: str) -> None:
    open_store(database).close()
    assert verify_database(database).finding is None


def test_what_is_good_before_what_is_wrong_is_told(ledger: Ledger) -> None:
    with ledger.opened() as now:
        now.change("UPDATE items SET input = input + 1 WHERE item = 11")
        result = now.verified()
    assert str(result.finding) == "row 11: it is not what was accepted"
    assert (result.rows, result.batches, result.signed) == (9, 3, 1)


ITEM_COLUMNS = tuple(
    column
    for column in ROW_COLUMNS
    if column not in ("item", "account", "instance", "series", "price", "corrects", "claimed_at")
)


@pytest.mark.parametrize("column", ITEM_COLUMNS)
def test_an_edit_of_any_column_of_a_row_names_the_row(ledger: Ledger, column: str) -> None:
    edits = {
        "kind": "'aggregate'",
        "status": "'aborted'",
        "requests": "'{}'",
        "coarse": "1",
    }
    with ledger.opened() as now:
        edit = edits.get(column, f"{column} + 1")
        now.change(f"UPDATE items SET {column} = {edit} WHERE item = 5")
        assert now.found() == "row 5: it is not what was accepted"


@pytest.mark.parametrize("column", DETAIL_COLUMNS)
def test_an_edit_of_any_detail_of_a_row_names_the_row(ledger: Ledger, column: str) -> None:
    with ledger.opened() as now:
        edit = "7" if column.endswith("_ms") else "'other'"
        now.change(f"UPDATE item_details SET {column} = {edit} WHERE item = 5")
        assert now.found() == "row 5: its details are not those that were accepted"


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        pytest.param(
            "UPDATE agents SET namespace = 'blue'",
            "accounts: 1: it is not what rows were stored with",
            id="another team pays",
        ),
        pytest.param(
            "UPDATE series SET model = 'cheap' WHERE model = 'gpt-2'",
            "series: 2: it is not what rows were stored with",
            id="another model",
        ),
        pytest.param(
            "UPDATE items SET series = 1 WHERE item = 2",
            "row 2: it is not what was accepted",
            id="another series",
        ),
        pytest.param(
            "UPDATE instances SET observer = 'sidecar'",
            "instances: 1: it is not what rows were stored with",
            id="another observer",
        ),
        pytest.param(
            "UPDATE instances SET agent = 2",
            "instances: 1: it is not what rows were stored with",
            id="the process of another agent",
        ),
        pytest.param(
            "UPDATE accounts SET cost_center = 'theirs'",
            "accounts: 1: it is not what rows were stored with",
            id="another cost centre",
        ),
        pytest.param(
            "UPDATE accounts SET cost_center = 'theirs', hash = 'of theirs'",
            "accounts: 1: it is not what rows were stored with",
            id="another cost centre, and its hash",
        ),
        pytest.param(
            "UPDATE prices SET card = replace(card, '3000000', '2000000')",
            "prices: 1: it is not what rows were stored with",
            id="another price",
        ),
        pytest.param(
            "UPDATE items SET milli = milli - 1 WHERE item = 7",
            "row 7: it is not what was accepted",
            id="a smaller charge",
        ),
        pytest.param("DELETE FROM items WHERE item = 4", "row 4: it is missing", id="deleted"),
        pytest.param("DELETE FROM items WHERE item = 12", "row 12: it is missing", id="the last"),
        pytest.param("DELETE FROM items WHERE item > 6", "row 7: it is missing", id="the rest"),
        pytest.param(
            "UPDATE items SET item = 13 WHERE item = 4", "row 4: it is missing", id="moved"
        ),
        pytest.param(
            "UPDATE items SET item = -1 WHERE item = 4", "row 4: it is missing", id="moved before"
        ),
        pytest.param(
            "UPDATE items SET salt = leaf WHERE item = 3",
            "row 3: it is not what was accepted",
            id="salt",
        ),
        pytest.param(
            "UPDATE items SET leaf = salt WHERE item = 3",
            "row 3: it is not what was accepted",
            id="leaf",
        ),
        pytest.param(
            "UPDATE batches SET root = hash WHERE batch = 2",
            "batch 2: its rows 4 to 6 are not those that were accepted",
            id="root",
        ),
        pytest.param(
            "UPDATE batches SET hash = root WHERE batch = 2",
            "batch 2: its hash is not that of what it says",
            id="hash",
        ),
        pytest.param(
            "UPDATE batches SET at = at + 1 WHERE batch = 2",
            "batch 2: its hash is not that of what it says",
            id="when",
        ),
        pytest.param(
            "DELETE FROM batches WHERE batch = 2",
            "batch 3: expected batch 2, found batch 3",
            id="a batch deleted",
        ),
        pytest.param(
            "DELETE FROM batches WHERE batch = 4",
            "row 10: it is in no batch: it was inserted past the chain",
            id="the last batch deleted",
        ),
        pytest.param(
            "UPDATE ledger SET first_item = 4",
            "batch 1: batch 1 does not follow batch 0 as it is",
            id="begins later",
        ),
        pytest.param(
            "UPDATE checkpoints SET at = at + 1 WHERE batch = 3",
            "the checkpoint at batch 3: its signature is not of this key",
            id="signed at another time",
        ),
        pytest.param(
            "UPDATE day_sums SET input = input - 100",
            "day_sums: start 1789948800000, account 1, series 1: it is not the sum of its rows",
            id="a day's sum",
        ),
        pytest.param(
            "DELETE FROM bucket_sums",
            "bucket_sums: start 1789999200000, account 1, series 1: it is not the sum of its rows",
            id="a bucket's sum",
        ),
        pytest.param(
            "UPDATE instances SET seq = 3",
            "instances: instance 1: seq is below its rows': they would be taken again",
            id="a watermark",
        ),
        pytest.param(
            "UPDATE instances SET seq = 13",
            "instances: instance 1: seq is above its rows': calls that never came would count as "
            "stored",
            id="a watermark that was raised",
        ),
        pytest.param(
            "UPDATE instance_totals SET output = 0 WHERE path = 'applied'",
            "instance_totals: instance 1: applied is not the sum of its rows",
            id="an instance's totals",
        ),
    ],
)
def test_an_edit_elsewhere_is_named(ledger: Ledger, statement: str, finding: str) -> None:
    with ledger.opened() as now:
        now.change(statement)
        assert now.found() == finding


def test_two_rows_that_changed_places_are_named(ledger: Ledger) -> None:
    with ledger.opened() as now:
        now.change(
            "UPDATE items SET item = 99 WHERE item = 4",
            "UPDATE items SET item = 4 WHERE item = 6",
            "UPDATE items SET item = 6 WHERE item = 99",
        )
        assert now.found() == "row 4: it is not what was accepted"


def test_an_inserted_row_is_named(ledger: Ledger) -> None:
    columns = ", ".join((*ROW_COLUMNS[1:], "salt", "details", "leaf"))
    with ledger.opened() as now:
        now.change(f"INSERT INTO items (item, {columns}) SELECT 13, {columns} FROM items LIMIT 1")
        assert now.found() == "row 13: it is in no batch: it was inserted past the chain"
    with ledger.opened() as now:
        now.change(f"INSERT INTO items (item, {columns}) SELECT 0, {columns} FROM items LIMIT 1")
        assert now.found() == ("row 0: it is from before the journal")


def test_details_that_were_erased_still_verify_and_are_counted(
    ledger: Ledger,
) -> None:
    with ledger.opened() as now:
        now.change("DELETE FROM item_details WHERE item IN (1, 5)")
        result = now.verified(ledger.kept)
        assert result.finding is None
        assert result.erased == 2


def test_a_chain_that_was_cut_off_shows_by_a_checkpoint_that_was_kept_outside(
    ledger: Ledger,
) -> None:
    with ledger.opened() as now:
        _cut_off_last_batch(now.connection)
        assert now.found() == ""
        assert now.found(ledger.kept) == (
            "the checkpoint at batch 4: the chain ends before it, at batch 3: its end is missing"
        )


def test_an_instance_of_no_rows_that_claims_to_have_calls_is_named(ledger: Ledger) -> None:
    """The calls of a process that is only beginning would be taken for stored."""
    columns = "instance, agent, instance_id, observer, first_seen_at, seq, hash"
    with ledger.opened() as now:
        (agent_id,) = now.connection.execute("SELECT agent_id FROM agents").fetchone()
        hashed = instance_hash(agent_id, OTHER_INSTANCE, "sdk")
        now.change(
            f"INSERT INTO instances ({columns}) VALUES (9, 1, ?, 'sdk', 0, 1, ?)",
            values=(OTHER_INSTANCE, hashed),
        )
        assert now.found().startswith("instances: instance 9: seq is above its rows'")
        now.change("UPDATE instances SET seq = 0 WHERE instance = 9")
        assert now.found() == "", "one that nothing was heard of but its id"


async def test_a_raised_watermark_from_which_calls_went_on_is_named(database: str) -> None:
    store = open_store(database)
    agent = await register(store)
    await apply(store, agent, frame(0, 3))
    with edited(database) as connection:
        connection.execute("UPDATE instances SET seq = 5")
    assert (await apply(store, agent, frame(3, 5))).items == 0, "taken for stored"
    assert (await apply(store, agent, frame(5, 6))).items == 1
    store.close()
    found = str(verify_database(database).finding)
    assert found.startswith("instances: instance 1: seq is above its rows'")


SUMMED = (*COMPONENTS, "milli", "pico", "priced", "estimated")


def _cut_off_last_batch(connection: Connection) -> None:
    """As an attacker would who knows every table."""
    gone = connection.execute(
        f"SELECT at, series, {', '.join(SUMMED)} FROM items WHERE item > 9"
    ).fetchall()
    for at, series, *counts in gone:
        less = ", ".join(
            f"{name} = {name} - {count}" for name, count in zip(SUMMED, counts, strict=True)
        )
        for table, grain in (("bucket_sums", 900_000), ("day_sums", 86_400_000)):
            connection.execute(
                f"UPDATE {table} SET items = items - 1, {less} WHERE start = ? AND series = ?",
                (at - at % grain, series),
            )
    names = ", ".join(COMPONENTS)
    sums = ", ".join(f"sum({name})" for name in COMPONENTS)
    for statement in (
        "UPDATE instances SET seq = 9",
        "DELETE FROM items WHERE item > 9",
        "DELETE FROM item_details WHERE item > 9",
        "DELETE FROM batches WHERE batch = 4",
        "DELETE FROM checkpoints WHERE batch = 4",
        "DELETE FROM instance_totals WHERE path = 'applied'",
        f"INSERT INTO instance_totals (instance, path, {names}) SELECT instance, 'applied', "
        f"{sums} FROM items GROUP BY instance",
        "DELETE FROM instance_cells",
        f"INSERT INTO instance_cells (instance, series, {names}) SELECT instance, series, "
        f"{sums} FROM items GROUP BY instance, series",
    ):
        connection.execute(statement)


def test_a_chain_that_was_written_anew_shows_by_a_checkpoint_that_was_kept_outside(
    ledger: Ledger, database: str
) -> None:
    async def forge() -> None:
        store = open_store(database)
        try:
            agent = await register(store)
            items = [call(seq) for seq in range(1, 13)]
            for item in items:
                totals = TokenCounts(input=1, calls=1)
                await apply(store, agent, frame(item.seq - 1, item.seq, item, totals=totals))
        finally:
            store.close()

    asyncio.run(forge())
    with Ledger(database, ledger.checks, ledger.kept).opened() as forged:
        assert forged.found() == ""
        assert forged.found(ledger.kept) == "the checkpoint at batch 4: it is of another ledger"
        forged.change("UPDATE ledger SET id = ?", values=(ledger.kept.checkpoint.ledger,))
        assert forged.found(ledger.kept).startswith("batch 1: ")


def test_a_head_that_another_key_signed_is_named(ledger: Ledger) -> None:
    _, public = new_key_pair()
    other = serialization.load_pem_public_key(public)
    with ledger.opened() as now:
        result = now.verified(
            is_signed=lambda one: signed_by(one, other),  # type: ignore[arg-type]
        )
    assert str(result.finding) == "the checkpoint at batch 3: its signature is not of this key"


_KEYS = {
    "items": ("item",),
    "item_details": ("item",),
    "batches": ("batch",),
    "bucket_sums": ("start", "account", "series", "price"),
    "day_sums": ("start", "account", "series", "price"),
    "accounts": ("account",),
    "prices": ("price",),
}


@settings(max_examples=60)
@given(
    table=st.sampled_from(sorted(_KEYS)),
    place=st.integers(0, 10_000),
    bit=st.integers(0, 7),
)
def test_one_bit_anywhere_is_found(ledger: Ledger, table: str, place: int, bit: int) -> None:
    with ledger.opened() as now:
        changed = _flip(now.connection, table, place, bit)
        assert not changed or now.found(ledger.kept) != "", changed


def _flip(connection: Connection, table: str, place: int, bit: int) -> str:
    """Change one bit of one value, and say which; "" where what comes of it is refused."""
    chosen: Any = connection.execute(f"SELECT * FROM {table}")
    names = [column[0] for column in chosen.description]
    rows = chosen.fetchall()
    row = dict(zip(names, rows[place % len(rows)], strict=True))
    column = names[place // len(rows) % len(names)]
    keys = _KEYS[table]
    where = " AND ".join(f"{key} = ?" for key in keys)
    connection.execute("SAVEPOINT flip")
    try:
        connection.execute(
            f'UPDATE {table} SET "{column}" = ? WHERE {where}',
            (_flipped(row[column], bit, column), *(row[key] for key in keys)),
        )
    except (sqlite3.IntegrityError, psycopg.IntegrityError, psycopg.DataError):
        connection.execute("ROLLBACK TO flip")
        return ""
    return f"{column} of {table} {row}"


def _flipped(value: object, bit: int, column: str) -> object:
    match value:
        case int():
            return value ^ (1 << bit)
        case bytes():
            return bytes([value[0] ^ (1 << bit)]) + value[1:]
        case str() if value:
            return chr(ord(value[0]) ^ 1) + value[1:]
        case _:
            if column in ("salt", "details", "leaf"):
                return b"x"
            return 1 if column.endswith(("_ms", "_at")) else "x"
