"""Whatever is changed in the database afterwards is found, and named where it is."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import COMPONENTS, TokenCounts
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.proof.rows import DETAIL_COLUMNS
from agentspec_usage.store.proof.signing import Signer, new_key_pair, read_signer, signed_by
from agentspec_usage.store.sqlite.opening import open_verified
from agentspec_usage.store.sqlite.store import SqliteStore
from agentspec_usage.store.sqlite.verifying import Verified, verify
from tests.unit.store.values import NOW, apply, frame, register

PRIVATE, PUBLIC = new_key_pair()
PUBLIC_KEY = serialization.load_pem_public_key(PUBLIC)

ROWS = 12


def good(signed: SignedCheckpoint) -> bool:
    return signed_by(signed, PUBLIC_KEY)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    path = tmp_path_factory.mktemp("key") / "signing.pem"
    path.write_bytes(PRIVATE)
    return read_signer(path)


def call(seq: int) -> UsageRecord:
    context = CallContext(user="ann", session="s") if seq % 2 else CallContext()
    return UsageRecord(
        seq,
        NOW - seq,
        SeriesKey("openai", f"gpt-{seq % 3}"),
        TokenCounts(input=100 * seq, output=seq, calls=1),
        requests={"web_search": seq},
        context=context,
    )


@pytest.fixture(scope="module")
def ledger(
    signer: Signer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, SignedCheckpoint]:
    """A database of twelve rows in four batches, and a checkpoint of it that was kept outside."""
    path = tmp_path_factory.mktemp("ledger") / "usage.db"

    async def fill() -> SignedCheckpoint:
        store = SqliteStore(path)
        try:
            agent = await register(store)
            for since in (0, 3, 6):
                items = [call(seq) for seq in range(since + 1, since + 4)]
                totals = TokenCounts(input=1, calls=1)
                await apply(store, agent, frame(since, since + 3, *items, totals=totals))
            assert await store.sign_head(signer, NOW) is not None
            items = [call(seq) for seq in range(10, 13)]
            await apply(store, agent, frame(9, 12, *items, totals=TokenCounts(input=1, calls=1)))
            signed = await store.sign_head(signer, NOW + 1)
            assert signed is not None
            assert await store.sign_head(signer, NOW + 2) is None
            return signed
        finally:
            store.close()

    return path, asyncio.run(fill())


@contextmanager
def copied(ledger: tuple[Path, SignedCheckpoint]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(shutil.copy(ledger[0], directory))


def verified(path: Path, *kept: SignedCheckpoint) -> Verified:
    with closing(open_verified(path)) as connection:
        return verify(connection, is_signed=good, kept=kept)


def found(path: Path, *kept: SignedCheckpoint) -> str:
    finding = verified(path, *kept).finding
    return "" if finding is None else str(finding)


def change(path: Path, *statements: str, values: tuple[object, ...] = ()) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            connection.execute(statement, values)


def test_what_nobody_changed_verifies(ledger: tuple[Path, SignedCheckpoint]) -> None:
    result = verified(ledger[0], ledger[1])
    assert result.finding is None
    assert (result.rows, result.batches, result.signed) == (ROWS, 4, 2)
    assert (result.unsigned_rows, result.erased, result.before) == (0, 0, 0)


def test_an_empty_ledger_verifies(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "usage.db").close()
    assert verified(tmp_path / "usage.db").finding is None


ITEM_COLUMNS = (
    *("kind", "first_seq", "last_seq", "at", "received_at", "status", "coarse", "requests"),
    *COMPONENTS,
)


@pytest.mark.parametrize("column", ITEM_COLUMNS)
def test_an_edit_of_any_column_of_a_row_names_the_row(
    ledger: tuple[Path, SignedCheckpoint], column: str
) -> None:
    edits = {
        "kind": "'aggregate'",
        "status": "'aborted'",
        "requests": "'{}'",
        "coarse": "1",
    }
    with copied(ledger) as path:
        edit = edits.get(column, f"{column} + 1")
        change(path, f"UPDATE items SET {column} = {edit} WHERE item = 5")
        assert found(path) == "row 5: it is not what was accepted"


@pytest.mark.parametrize("column", DETAIL_COLUMNS)
def test_an_edit_of_any_detail_of_a_row_names_the_row(
    ledger: tuple[Path, SignedCheckpoint], column: str
) -> None:
    with copied(ledger) as path:
        edit = "7" if column.endswith("_ms") else "'other'"
        change(path, f"UPDATE item_details SET {column} = {edit} WHERE item = 5")
        assert found(path) == "row 5: its details are not those that were accepted"


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        pytest.param(
            "UPDATE agents SET namespace = 'blue'",
            "row 1: it is not what was accepted",
            id="another team pays",
        ),
        pytest.param(
            "UPDATE series SET model = 'cheap' WHERE model = 'gpt-2'",
            "row 2: it is not what was accepted",
            id="another model",
        ),
        pytest.param(
            "UPDATE items SET series = 1 WHERE item = 2",
            "row 2: it is not what was accepted",
            id="another series",
        ),
        pytest.param(
            "UPDATE instances SET observer = 'sidecar'",
            "row 1: it is not what was accepted",
            id="another observer",
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
            "UPDATE items SET salt = zeroblob(16) WHERE item = 3",
            "row 3: it is not what was accepted",
            id="salt",
        ),
        pytest.param(
            "UPDATE items SET leaf = zeroblob(32) WHERE item = 3",
            "row 3: it is not what was accepted",
            id="leaf",
        ),
        pytest.param(
            "UPDATE batches SET root = zeroblob(32) WHERE batch = 2",
            "batch 2: its rows 4 to 6 are not those that were accepted",
            id="root",
        ),
        pytest.param(
            "UPDATE batches SET hash = zeroblob(32) WHERE batch = 2",
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
            "day_sums: start 1789948800000, agent 1, series 1: it is not the sum of its rows",
            id="a day's sum",
        ),
        pytest.param(
            "DELETE FROM bucket_sums",
            "bucket_sums: start 1789999200000, agent 1, series 1: it is not the sum of its rows",
            id="a bucket's sum",
        ),
        pytest.param(
            "UPDATE instances SET seq = 3",
            "instances: instance 1: seq is below its rows': they would be taken again",
            id="a watermark",
        ),
        pytest.param(
            "UPDATE instance_totals SET output = 0 WHERE path = 'applied'",
            "instance_totals: instance 1: applied is not the sum of its rows",
            id="an instance's totals",
        ),
    ],
)
def test_an_edit_elsewhere_is_named(
    ledger: tuple[Path, SignedCheckpoint], statement: str, finding: str
) -> None:
    with copied(ledger) as path:
        change(path, statement)
        assert found(path) == finding


def test_two_rows_that_changed_places_are_named(ledger: tuple[Path, SignedCheckpoint]) -> None:
    with copied(ledger) as path:
        change(
            path,
            "UPDATE items SET item = 99 WHERE item = 4",
            "UPDATE items SET item = 4 WHERE item = 6",
            "UPDATE items SET item = 6 WHERE item = 99",
        )
        assert found(path) == "row 4: it is not what was accepted"


def test_an_inserted_row_is_named(ledger: tuple[Path, SignedCheckpoint]) -> None:
    columns = f"instance, series, {', '.join(ITEM_COLUMNS)}, salt, details, leaf"
    with copied(ledger) as path:
        change(path, f"INSERT INTO items (item, {columns}) SELECT 13, {columns} FROM items LIMIT 1")
        assert found(path) == "row 13: it is in no batch: it was inserted past the chain"
    with copied(ledger) as path:
        change(path, f"INSERT INTO items (item, {columns}) SELECT 0, {columns} FROM items LIMIT 1")
        assert found(path) == (
            "the rows from before the journal: expected 0, found 1, the first of them row 0"
        )


def test_details_that_were_erased_still_verify_and_are_counted(
    ledger: tuple[Path, SignedCheckpoint],
) -> None:
    with copied(ledger) as path:
        change(path, "DELETE FROM item_details WHERE item IN (1, 5)")
        result = verified(path, ledger[1])
        assert result.finding is None
        assert result.erased == 2


def test_a_chain_that_was_cut_off_shows_by_a_checkpoint_that_was_kept_outside(
    ledger: tuple[Path, SignedCheckpoint],
) -> None:
    with copied(ledger) as path:
        _cut_off_last_batch(path)
        assert found(path) == ""
        assert found(path, ledger[1]) == (
            "the checkpoint at batch 4: the chain ends before it, at batch 3: rows are missing"
        )


def _cut_off_last_batch(path: Path) -> None:
    """As an attacker would who knows every table."""
    with closing(sqlite3.connect(path)) as connection:
        gone = connection.execute(
            f"SELECT at, series, {', '.join(COMPONENTS)} FROM items WHERE item > 9"
        ).fetchall()
        for at, series, *counts in gone:
            less = ", ".join(
                f"{name} = {name} - {count}" for name, count in zip(COMPONENTS, counts, strict=True)
            )
            for table, grain in (("bucket_sums", 900_000), ("day_sums", 86_400_000)):
                connection.execute(
                    f"UPDATE {table} SET items = items - 1, {less} WHERE start = ? AND series = ?",
                    (at - at % grain, series),
                )
        names = ", ".join(COMPONENTS)
        connection.executescript(
            "DELETE FROM items WHERE item > 9; DELETE FROM item_details WHERE item > 9;"
            "DELETE FROM batches WHERE batch = 4; DELETE FROM checkpoints WHERE batch = 4;"
            "DELETE FROM instance_totals WHERE path = 'applied';"
            f"INSERT INTO instance_totals (instance, path, {names}) SELECT instance, 'applied', "
            f"{', '.join(f'sum({name})' for name in COMPONENTS)} FROM items GROUP BY instance;"
        )


def test_a_chain_that_was_written_anew_shows_by_a_checkpoint_that_was_kept_outside(
    ledger: tuple[Path, SignedCheckpoint], tmp_path: Path, signer: Signer
) -> None:
    async def forge() -> None:
        store = SqliteStore(tmp_path / "forged.db")
        try:
            agent = await register(store)
            items = [call(seq) for seq in range(1, 13)]
            for item in items:
                totals = TokenCounts(input=1, calls=1)
                await apply(store, agent, frame(item.seq - 1, item.seq, item, totals=totals))
        finally:
            store.close()

    asyncio.run(forge())
    forged = tmp_path / "forged.db"
    assert found(forged) == ""
    assert found(forged, ledger[1]) == "the checkpoint at batch 4: it is of another ledger"
    change(forged, "UPDATE ledger SET id = ?", values=(ledger[1].checkpoint.ledger,))
    assert found(forged, ledger[1]).startswith("batch 1: ")


def test_a_head_that_another_key_signed_is_named(
    ledger: tuple[Path, SignedCheckpoint],
) -> None:
    _, public = new_key_pair()
    other = serialization.load_pem_public_key(public)
    with closing(open_verified(ledger[0])) as connection:
        result = verify(
            connection,
            is_signed=lambda one: signed_by(one, other),  # type: ignore[arg-type]
        )
    assert str(result.finding) == "the checkpoint at batch 3: its signature is not of this key"


@settings(max_examples=60)
@given(
    table=st.sampled_from(["items", "item_details", "batches", "bucket_sums", "day_sums"]),
    place=st.integers(0, 10_000),
    bit=st.integers(0, 7),
)
def test_one_bit_anywhere_is_found(
    ledger: tuple[Path, SignedCheckpoint], table: str, place: int, bit: int
) -> None:
    with copied(ledger) as path:
        changed = _flip(path, table, place, bit)
        assert not changed or found(path, ledger[1]) != "", changed


_KEYS = {
    "items": ("item",),
    "item_details": ("item",),
    "batches": ("batch",),
    "bucket_sums": ("start", "agent", "series"),
    "day_sums": ("start", "agent", "series"),
}


def _flip(path: Path, table: str, place: int, bit: int) -> str:
    """Change one bit of one value, and say which; "" where SQLite refuses what comes of it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        chosen = connection.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in chosen.description]
        rows = chosen.fetchall()
        row = dict(zip(names, rows[place % len(rows)], strict=True))
        column = names[place // len(rows) % len(names)]
        keys = _KEYS[table]
        where = " AND ".join(f"{key} = ?" for key in keys)
        try:
            connection.execute(
                f'UPDATE {table} SET "{column}" = ? WHERE {where}',
                (_flipped(row[column], bit, column), *(row[key] for key in keys)),
            )
        except sqlite3.IntegrityError:
            return ""
        connection.commit()
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


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        pytest.param("DELETE FROM ledger", "ledger: it is missing", id="no ledger"),
        pytest.param(
            "UPDATE series SET model = CAST(x'ff' AS TEXT) WHERE series = 1",
            "batch 1: it has a text that is no UTF-8",
            id="a text of other bytes",
        ),
        pytest.param(
            "DROP INDEX items_by_time",
            "index items_by_time: it is not as this program made it",
            id="no index",
        ),
        pytest.param(
            "CREATE TRIGGER items AFTER INSERT ON items BEGIN DELETE FROM bucket_sums; END",
            "trigger items: it is not as this program made it",
            id="a trigger",
        ),
        pytest.param(
            "ALTER TABLE batches ADD COLUMN more INTEGER",
            "table batches: it is not as this program made it",
            id="another table",
        ),
    ],
)
def test_a_database_of_another_make_is_named(
    ledger: tuple[Path, SignedCheckpoint], statement: str, expected: str
) -> None:
    with copied(ledger) as path:
        change(path, statement)
        assert found(path) == expected


def test_an_index_that_hides_a_row_is_found(ledger: tuple[Path, SignedCheckpoint]) -> None:
    with copied(ledger) as path:
        change(
            path,
            "CREATE INDEX forged ON items (at) WHERE item <> 5",
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema "
            "WHERE name = 'forged') WHERE name = 'items_by_time'",
            "DELETE FROM sqlite_schema WHERE name = 'forged'",
        )
        assert found(path) == "items: row 5 missing from index items_by_time"
