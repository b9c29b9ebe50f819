"""A database whose tables are not as this program makes them is found, whatever its rows say."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.proof.signing import Signer
from tests.unit.store.ledgers import BOOK, Ledger, call, fill
from tests.unit.store.values import apply, edited, frame, register


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        pytest.param("DELETE FROM ledger", "ledger: it is missing", id="no ledger"),
        pytest.param(
            "DROP INDEX items_by_time",
            "index items_by_time: it is not as this program made it",
            id="no index",
        ),
        pytest.param(
            "ALTER TABLE batches ADD COLUMN more INTEGER",
            "table batches: it is not as this program made it",
            id="another table",
        ),
    ],
)
def test_a_database_of_another_make_is_named(ledger: Ledger, statement: str, expected: str) -> None:
    with ledger.opened() as now:
        now.change(statement)
        assert now.found() == expected


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param(
            ["UPDATE series SET model = CAST(x'ff' AS TEXT) WHERE series = 1"],
            "batch 1: it has a text that is no UTF-8",
            id="a text of other bytes",
        ),
        pytest.param(
            ["CREATE TRIGGER items AFTER INSERT ON items BEGIN DELETE FROM bucket_sums; END"],
            "trigger items: it is not as this program made it",
            id="a trigger",
        ),
        pytest.param(
            [
                "CREATE INDEX forged ON items (at) WHERE item <> 5",
                "PRAGMA writable_schema = ON",
                "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema "
                "WHERE name = 'forged') WHERE name = 'items_by_time'",
                "DELETE FROM sqlite_schema WHERE name = 'forged'",
            ],
            "items: row 5 missing from index items_by_time",
            id="an index that hides a row",
        ),
    ],
)
def test_what_only_a_file_can_be_made_to_hold_is_named(
    file: Path, signer: Signer, statements: list[str], expected: str
) -> None:
    asyncio.run(fill(str(file), signer))
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    assert str(verify_database(str(file)).finding) == expected


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param(
            [
                "CREATE TRIGGER t BEFORE UPDATE ON day_sums FOR EACH ROW "
                "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            ],
            "trigger t of day_sums",
            id="a trigger",
        ),
        pytest.param(
            ["CREATE RULE r AS ON DELETE TO items DO INSTEAD NOTHING"],
            "rule r of items",
            id="a rule",
        ),
        pytest.param(
            ["CREATE TABLE more () INHERITS (day_sums)"],
            "child of day_sums",
            id="a table whose rows are the sums' too",
        ),
        pytest.param(
            ["ALTER TABLE items ENABLE ROW LEVEL SECURITY"],
            "row security of items",
            id="rows that not everybody sees",
        ),
        pytest.param(
            ["ALTER TABLE instances DROP CONSTRAINT instances_agent_instance_id_key"],
            "constraint instances_agent_instance_id_key of instances",
            id="a constraint that is gone",
        ),
        pytest.param(
            ["ALTER TABLE items ALTER COLUMN input SET DEFAULT 1"], "table items", id="a default"
        ),
        pytest.param(
            ["UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'items_by_time'::regclass"],
            "index items_by_time",
            id="an index that is not used",
        ),
    ],
)
def test_what_only_a_server_can_be_made_to_do_is_named(
    postgresql: str, signer: Signer, statements: list[str], expected: str
) -> None:
    asyncio.run(fill(postgresql, signer))
    with edited(postgresql) as connection:
        for statement in statements:
            connection.execute(statement)
    made = f"{expected}: it is not as this program made it"
    assert str(verify_database(postgresql).finding) == made


def test_an_index_of_a_server_that_hides_a_row_is_found(postgresql: str, signer: Signer) -> None:
    async def one_more() -> None:
        store = open_store(postgresql, book=BOOK)
        try:
            agent = await register(store)
            totals = TokenCounts(input=1, calls=1)
            await apply(store, agent, frame(12, 13, call(13), totals=totals))
        finally:
            store.close()

    asyncio.run(fill(postgresql, signer))
    ready = "UPDATE pg_index SET indisready = '{}' WHERE indexrelid = 'items_by_time'::regclass"
    with edited(postgresql) as connection:
        connection.execute(ready.format("false"))
    asyncio.run(one_more())
    with edited(postgresql) as connection:
        connection.execute(ready.format("true"))
    found = str(verify_database(postgresql).finding)
    assert found == "items: its index by at finds 12 of 13 rows"
