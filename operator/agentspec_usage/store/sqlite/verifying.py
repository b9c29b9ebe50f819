"""Reading the whole journal again: is every row what was accepted, in its order, and nothing else?

The walk goes batch by batch, computes each row's hash from what the database says now, and names
the first row, batch or sum that is not what it was. It needs the file alone; with the public key it
also checks who signed the heads, and a checkpoint kept elsewhere shows that the chain as a whole
was not written anew, and that nothing is missing at its end.

A row whose details were erased on purpose still verifies: what was hashed of them is there, and
the number of such rows is told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.proof.chain import Batch, Head, follows
from agentspec_usage.store.proof.checkpoints import Checkpoint, SignedCheckpoint
from agentspec_usage.store.proof.rows import (
    DETAIL_COLUMNS,
    ROW_COLUMNS,
    RowEncoder,
    details_hash,
    leaf_hash,
)
from agentspec_usage.store.proof.tree import root_of
from agentspec_usage.store.sqlite.charges import (
    BUCKET_COSTS,
    DAY_COSTS,
)
from agentspec_usage.store.sqlite.differences import first_difference
from agentspec_usage.store.sqlite.journal import ledger_of
from agentspec_usage.store.sqlite.opening import open_verified, schema_difference
from agentspec_usage.store.sqlite.rollups import BUCKETS, DAYS

__all__ = ["Finding", "Verified", "verify", "verify_file"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that is wrong: ``where`` (a row, a batch, a sum), and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verified:
    """How far the journal holds. ``finding`` is None when all of it does."""

    ledger: str
    rows: int
    batches: int
    erased: int
    signed: int
    """Heads of the chain that are signed, each with a good signature where a key was given."""
    unsigned_rows: int
    """Rows after the last signed head: an edit of them and of their batches would not show."""
    before: int
    """Rows that an earlier version stored, before there was a journal."""
    finding: Finding | None = None


class _WrongError(Exception):
    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.finding = Finding(where, what)


_TABLE_OF = {
    **dict.fromkeys(("agent_id", "namespace", "name"), "agents"),
    **dict.fromkeys(("instance_id", "observer"), "instances"),
    **dict.fromkeys(
        ("provider", "model", "operation", "service_tier", "region", "batch", "context_class"),
        "series",
    ),
}
_ROW = ", ".join(f"{_TABLE_OF.get(column, 'items')}.{column}" for column in ROW_COLUMNS)
_DETAILS = ", ".join(f"item_details.{column}" for column in DETAIL_COLUMNS)
_ROWS = f"""
    SELECT {_ROW}, items.salt, items.details, items.leaf, item_details.salt, {_DETAILS}
    FROM items
    LEFT JOIN instances USING (instance) LEFT JOIN agents USING (agent)
    LEFT JOIN series USING (series) LEFT JOIN item_details USING (item)
    WHERE items.item >= ? ORDER BY items.item"""

_WIDTH = len(ROW_COLUMNS)

Progress = Callable[[int], None]


def verify(
    connection: sqlite3.Connection,
    *,
    is_signed: Callable[[SignedCheckpoint], bool] | None = None,
    kept: Sequence[SignedCheckpoint] = (),
    progress: Progress = lambda rows: None,
) -> Verified:
    """Verify the database behind ``connection``, at one moment.

    ``is_signed`` says whether a signature is good; without it signatures are not looked at.
    ``kept`` are checkpoints from outside. ``progress`` hears how many rows are done.
    """
    connection.execute("BEGIN")
    walk = _Walk(connection, is_signed, progress)
    try:
        walk.schema()
        walk.batches()
        walk.kept(kept)
        walk.sums()
        walk.indexes()
    except _WrongError as error:
        return walk.result(error.finding)
    except sqlite3.OperationalError as error:
        if not str(error).startswith("Could not decode"):
            raise
        return walk.result(Finding(f"batch {walk.good + 1}", "it has a text that is no UTF-8"))
    finally:
        connection.execute("COMMIT")
    return walk.result(None)


def verify_file(
    path: Path,
    *,
    is_signed: Callable[[SignedCheckpoint], bool] | None = None,
    kept: Sequence[SignedCheckpoint] = (),
    progress: Progress = lambda rows: None,
) -> Verified:
    """Verify the database at ``path``. Raises ``StoreUnusableError`` where it cannot be read."""
    connection = open_verified(path)
    try:
        return verify(connection, is_signed=is_signed, kept=kept, progress=progress)
    except sqlite3.Error as error:
        raise StoreUnusableError(f"{path}: {error}") from error
    finally:
        connection.close()


class _Walk:
    def __init__(
        self,
        connection: sqlite3.Connection,
        is_signed: Callable[[SignedCheckpoint], bool] | None,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._is_signed = is_signed
        self._progress = progress
        self._encoder = RowEncoder()
        self._ledger, self._genesis = "", Head(0, b"", 0)
        self._head = self._genesis
        self._signed_to = 0
        self._erased = 0
        self._signed = 0

    @property
    def good(self) -> int:
        """The newest batch that was found to be good."""
        return self._head.batch

    def schema(self) -> None:
        """The tables are this program's, and nothing changes rows behind its back."""
        if wrong := schema_difference(self._connection):
            raise _WrongError(wrong, "it is not as this program made it")

    def batches(self) -> None:
        """Every batch follows the one before it, and is the root of its rows as they are now."""
        if self._connection.execute("SELECT 1 FROM ledger").fetchone() is None:
            raise _WrongError("ledger", "it is missing")
        self._ledger, self._genesis = ledger_of(self._connection)
        self._head = self._genesis
        self._signed_to = self._genesis.last
        rows = iter(self._connection.execute(_ROWS, (self._genesis.last + 1,)))
        for batch, stored in self._stored_batches():
            if wrong := follows(batch, self._head):
                raise _WrongError(f"batch {batch.number}", wrong)
            leaves = self._leaves(rows, batch)
            if root_of(leaves) != batch.root:
                raise _WrongError(
                    f"batch {batch.number}",
                    f"its rows {batch.first} to {batch.last} are not those that were accepted",
                )
            if batch.hash != stored:
                raise _WrongError(f"batch {batch.number}", "its hash is not that of what it says")
            self._head = Head(batch.number, batch.hash, batch.last)
            self._checkpoint(batch.number)
            self._progress(batch.last - self._genesis.last)
        extra = next(rows, None)
        if extra is not None:
            raise _WrongError(
                f"row {extra[0]}", "it is in no batch: it was inserted past the chain"
            )
        self._nothing_beside()

    def kept(self, checkpoints: Sequence[SignedCheckpoint]) -> None:
        """What was kept outside is where the chain was at that time."""
        for signed in checkpoints:
            checkpoint = signed.checkpoint
            where = f"the checkpoint at batch {checkpoint.head.batch}"
            if self._is_signed is not None and not self._is_signed(signed):
                raise _WrongError(where, "its signature is not of this key")
            if checkpoint.ledger != self._ledger:
                raise _WrongError(where, "it is of another ledger")
            if checkpoint.head.batch > self._head.batch:
                raise _WrongError(
                    where,
                    f"the chain ends before it, at batch {self._head.batch}: rows are missing",
                )
            if self._batch_head(checkpoint.head.batch) != checkpoint.head:
                raise _WrongError(where, "the chain was another one then: it was written anew")
            self._signed_to = max(self._signed_to, checkpoint.head.last)

    def sums(self) -> None:
        """What is kept of the rows beside them is what the rows say."""
        if found := first_difference(self._connection):
            raise _WrongError(*found)

    def indexes(self) -> None:
        """What finds rows by their time finds all of them, and no other."""
        for table in ("items", BUCKETS, DAYS, BUCKET_COSTS, DAY_COSTS):
            (said,) = self._connection.execute(f"PRAGMA integrity_check({table})").fetchone()
            if said != "ok":
                raise _WrongError(table, said)

    def result(self, finding: Finding | None) -> Verified:
        good = self._head.last - self._genesis.last
        return Verified(
            self._ledger,
            good,
            self._head.batch,
            self._erased,
            self._signed,
            max(self._head.last - self._signed_to, 0),
            self._genesis.last,
            finding,
        )

    def _nothing_beside(self) -> None:
        """No row before the first, no details of no row, no signed head of a batch that is gone."""
        before, first = self._connection.execute(
            "SELECT count(*), min(item) FROM items WHERE item <= ?", (self._genesis.last,)
        ).fetchone()
        if before != self._genesis.last:
            raise _WrongError(
                "the rows from before the journal",
                f"expected {self._genesis.last}, found {before}, the first of them row {first}",
            )
        orphan = self._connection.execute(
            "SELECT item FROM item_details WHERE item NOT IN (SELECT item FROM items) "
            "ORDER BY item LIMIT 1"
        ).fetchone()
        if orphan is not None:
            raise _WrongError(f"the details of row {orphan[0]}", "there is no such row")
        newest = self._connection.execute("SELECT max(batch) FROM checkpoints").fetchone()[0]
        if newest is not None and newest > self._head.batch:
            raise _WrongError(
                f"the checkpoint at batch {newest}",
                f"the chain ends before it, at batch {self._head.batch}: rows are missing",
            )

    def _stored_batches(self) -> Iterator[tuple[Batch, bytes]]:
        for row in self._connection.execute(
            "SELECT batch, previous, first_item, last_item, root, at, hash "
            "FROM batches ORDER BY batch"
        ):
            yield Batch(*row[:6]), row[6]

    def _leaves(self, rows: Iterator[Sequence[Any]], batch: Batch) -> list[bytes]:
        leaves = []
        for expected, row in zip(
            range(batch.first, batch.last + 1),
            islice(rows, batch.last - batch.first + 1),
            strict=False,
        ):
            if row[0] != expected:
                raise _WrongError(f"row {expected}", "it is missing")
            leaves.append(self._leaf(row))
        if len(leaves) <= batch.last - batch.first:
            raise _WrongError(f"row {batch.first + len(leaves)}", "it is missing")
        return leaves

    def _leaf(self, row: Sequence[Any]) -> bytes:
        salt, details, leaf, own_salt, *values = row[_WIDTH:]
        hashed = details or b""
        if own_salt is not None:
            hashed = details_hash(values, own_salt)
            if hashed != details:
                raise _WrongError(f"row {row[0]}", "its details are not those that were accepted")
        elif any(value is not None for value in values):
            raise _WrongError(f"row {row[0]}", "it has details that were never accepted")
        elif details is not None:
            self._erased += 1
        try:
            computed = leaf_hash(self._encoder.encode(row[:_WIDTH]), salt, hashed)
        except TypeError:
            computed = b""
        if computed != leaf:
            raise _WrongError(f"row {row[0]}", "it is not what was accepted")
        return computed

    def _checkpoint(self, batch: int) -> None:
        row = self._connection.execute(
            "SELECT at, key_id, signature FROM checkpoints WHERE batch = ?", (batch,)
        ).fetchone()
        if row is None:
            return
        at, key_id, signature = row
        signed = SignedCheckpoint(Checkpoint(self._ledger, self._head, at, key_id), signature)
        if self._is_signed is not None and not self._is_signed(signed):
            raise _WrongError(
                f"the checkpoint at batch {batch}", "its signature is not of this key"
            )
        self._signed += 1
        self._signed_to = self._head.last

    def _batch_head(self, batch: int) -> Head:
        if not batch:
            return self._genesis
        row = self._connection.execute(
            "SELECT hash, last_item FROM batches WHERE batch = ?", (batch,)
        ).fetchone()
        return Head(batch, *row)
