"""Reading the whole journal again: is every row what was accepted, in its order, and nothing else?

The walk goes batch by batch, computes each row's hash from what the database says now, and names
the first row, batch or sum that is not what it was. It needs the file alone; with the public key it
also checks who signed the heads, and a checkpoint kept elsewhere shows that the chain as a whole
was not written anew, and that nothing is missing at its end.

A row whose details were erased on purpose still verifies: what was hashed of them is there, and
the number of such rows is told. So do rows that were dropped by policy: their batches are in the
chain, and what is left of them is sealed (``proof.pruned``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any, Protocol

from agentspec_usage.store.proof.chain import Batch, Head, follows
from agentspec_usage.store.proof.checkpoints import Checkpoint, SignedCheckpoint
from agentspec_usage.store.proof.pruned import Pruned
from agentspec_usage.store.proof.rows import (
    details_expression,
    details_hash,
    leaf_hash,
    named_hash,
    row_expression,
)
from agentspec_usage.store.proof.tree import root_of
from agentspec_usage.store.proof.verified import Dropped, Finding, Verified
from agentspec_usage.store.sql.agents import AgentRow
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dialect import Dialect
from agentspec_usage.store.sql.dictionaries import (
    PRICE_COLUMNS,
    SERIES_COLUMNS,
    account_hash,
)
from agentspec_usage.store.sql.differences import first_difference
from agentspec_usage.store.sql.event_checks import first_wrong_event
from agentspec_usage.store.sql.instances import instance_hash
from agentspec_usage.store.sql.journal import ledger_of
from agentspec_usage.store.sql.periods import first_changed_period
from agentspec_usage.store.sql.pruned import changed_since, pruned_of

__all__ = ["Checks", "verify"]


class Checks(Protocol):
    """What only the database itself can say."""

    def schema(self, connection: Connection) -> str:
        """What is in it that this program did not make, or is not as it made it; "" for nothing."""
        ...

    def indexes(self, connection: Connection) -> Iterable[tuple[str, str]]:
        """Tables in which an index does not find every row and no other, and what is wrong."""
        ...

    def garbled(self, error: Exception) -> bool:
        """Whether the database failed on a row that can be no text."""
        ...


class _WrongError(Exception):
    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.finding = Finding(where, what)


_NAMED = ("account", "instance", "series", "price")


def _column(column: str) -> str:
    table = {"account": "accounts", "instance": "instances", "series": "series", "price": "prices"}
    return f"{table[column]}.hash" if column in _NAMED else f"items.{column}"


def _rows(dialect: Dialect) -> str:
    """The rows from one on, each with its bytes and those of its details."""
    details = details_expression(lambda column: dialect.json_of.format(f"item_details.{column}"))
    return f"""
    SELECT items.item, {row_expression(_column)}, items.salt, items.details, items.leaf,
    item_details.salt, CASE WHEN item_details.salt IS NOT NULL THEN {details} END
    FROM items
    LEFT JOIN accounts USING (account) LEFT JOIN instances USING (instance)
    LEFT JOIN series USING (series) LEFT JOIN prices USING (price)
    LEFT JOIN item_details USING (item)
    WHERE items.item >= ? AND items.item <= ? ORDER BY items.item"""


_NEWEST_ROW = 2**62


Progress = Callable[[int], None]


def verify(
    connection: Connection,
    checks: Checks,
    *,
    is_signed: Callable[[SignedCheckpoint], bool] | None = None,
    kept: Sequence[SignedCheckpoint] = (),
    progress: Progress = lambda rows: None,
) -> Verified:
    """Verify the database behind ``connection``, which is in a transaction that sees one moment.

    ``is_signed`` says whether a signature is good; without it signatures are not looked at.
    ``kept`` are checkpoints from outside. ``progress`` hears how many rows are done.
    """
    walk = _Walk(connection, checks, is_signed, progress)
    try:
        walk.schema()
        walk.names()
        walk.batches()
        walk.kept(kept)
        # Before what is found by indexes.
        walk.indexes()
        walk.sums()
        walk.periods()
        walk.events()
    except _WrongError as error:
        return walk.result(error.finding)
    except Exception as error:
        if not checks.garbled(error):
            raise
        return walk.result(Finding(f"batch {walk.good + 1}", "it has a text that is no UTF-8"))
    return walk.result(None)


class _Walk:
    def __init__(
        self,
        connection: Connection,
        checks: Checks,
        is_signed: Callable[[SignedCheckpoint], bool] | None,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._checks = checks
        self._is_signed = is_signed
        self._progress = progress
        self._ledger, self._genesis = "", Head(0, b"", 0)
        self._head = self._genesis
        self._signed_to = 0
        self._erased = 0
        self._signed = 0
        self._pruned: Pruned | None = None
        self._dropped = 0

    @property
    def good(self) -> int:
        """The newest batch that was found to be good."""
        return self._head.batch

    @property
    def _until(self) -> int:
        """Before when rows may have been dropped."""
        return 0 if self._pruned is None else self._pruned.until

    def schema(self) -> None:
        """The tables are this program's, and nothing changes rows behind its back."""
        if wrong := self._checks.schema(self._connection):
            raise _WrongError(wrong, "it is not as this program made it")

    def names(self) -> None:
        """What rows have by a hash is what was hashed."""
        for table, query, hash_of in _NAMES:
            for number, said, *values in self._connection.stream(query):
                if hash_of(values) != said:
                    raise _WrongError(f"{table}: {number}", "it is not what rows were stored with")

    def batches(self) -> None:
        """Every batch follows the one before it, and is the root of its rows as they are now."""
        if self._connection.execute("SELECT 1 FROM ledger").fetchone() is None:
            raise _WrongError("ledger", "it is missing")
        self._ledger, self._genesis = ledger_of(self._connection)
        self._head = self._genesis
        self._signed_to = self._genesis.last
        dropped_to = self._what_is_left()
        rows = self._connection.stream(
            _rows(self._connection.dialect), (dropped_to + 1, _NEWEST_ROW)
        )
        for batch, stored in self._stored_batches():
            if wrong := follows(batch, self._head):
                raise _WrongError(f"batch {batch.number}", wrong)
            if batch.last > dropped_to and root_of(self._leaves(rows, batch)) != batch.root:
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

    def _what_is_left(self) -> int:
        """Up to which row rows were dropped; and those of them that stayed are what they were."""
        known = pruned_of(self._connection)
        if known is None:
            return self._genesis.last
        where = "what is left of dropped rows"
        mark, signature = known
        signed = SignedCheckpoint(mark, signature)
        if not mark.key_id:
            if sha256(mark.text.encode()).digest() != signature:
                raise _WrongError(where, "it is not what was written down when they were dropped")
        elif self._is_signed is not None and not self._is_signed(signed):
            raise _WrongError(where, "its signature is not of this key")
        if changed := changed_since(self._connection, mark):
            raise _WrongError(where, changed)
        stayed = 0
        rows = self._connection.stream(
            _rows(self._connection.dialect), (self._genesis.last + 1, mark.head.last)
        )
        for row in rows:
            self._leaf(row)
            stayed += 1
        self._pruned = mark
        self._dropped = mark.head.last - self._genesis.last - stayed
        return mark.head.last

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
        if found := first_difference(self._connection, self._until):
            raise _WrongError(*found)

    def events(self) -> None:
        """The chains of usage events are whole, and say what was charged."""
        if found := first_wrong_event(self._connection):
            raise _WrongError(*found)

    def periods(self) -> None:
        """Closed periods are as they were written down, and nothing was added to them."""
        if found := first_changed_period(self._connection, self._until):
            raise _WrongError(*found)

    def indexes(self) -> None:
        """What finds rows by their time finds all of them, and no other."""
        for wrong in self._checks.indexes(self._connection):
            raise _WrongError(*wrong)

    def result(self, finding: Finding | None) -> Verified:
        good = self._head.last - self._genesis.last - self._dropped
        mark = self._pruned
        return Verified(
            self._ledger,
            max(good, 0),
            self._head.batch,
            self._erased,
            self._signed,
            max(self._head.last - self._signed_to, 0),
            finding,
            None if mark is None else Dropped(self._dropped, mark.until, mark.key_id),
        )

    def _nothing_beside(self) -> None:
        """No row before the first, no details of no row, no signed head of a batch that is gone."""
        before = self._connection.execute(
            "SELECT min(item) FROM items WHERE item <= ?", (self._genesis.last,)
        ).fetchone()[0]
        if before is not None:
            raise _WrongError(f"row {before}", "it is from before the journal")
        orphan = self._connection.execute(
            "SELECT item_details.item FROM item_details LEFT JOIN items USING (item) "
            "WHERE items.item IS NULL ORDER BY item_details.item LIMIT 1"
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
        for row in self._connection.stream(
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
        item, text, salt, details, leaf, own_salt, of_details = row
        hashed = details or b""
        if own_salt is not None:
            hashed = details_hash(of_details.encode(), own_salt)
            if hashed != details:
                raise _WrongError(f"row {item}", "its details are not those that were accepted")
        elif details is not None:
            self._erased += 1
        computed = leaf_hash(text.encode(), salt, hashed) if isinstance(text, str) else b""
        if computed != leaf:
            raise _WrongError(f"row {item}", "it is not what was accepted")
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


def _hash_of_account(values: Sequence[Any]) -> str:
    agent_id, namespace, name, cost_center, team = values
    return account_hash(AgentRow(0, agent_id, namespace, name), cost_center, team)


def _hash_of(what: str, columns: Sequence[str]) -> Callable[[Sequence[Any]], str]:
    return lambda values: named_hash(what, dict(zip(columns, values, strict=True)))


_NAMES: tuple[tuple[str, str, Callable[[Sequence[Any]], str]], ...] = (
    (
        "accounts",
        "SELECT account, hash, agent_id, namespace, name, accounts.cost_center, team "
        "FROM accounts LEFT JOIN agents USING (agent) ORDER BY account",
        _hash_of_account,
    ),
    (
        "instances",
        "SELECT instance, hash, instance_id, observer FROM instances ORDER BY instance",
        lambda values: instance_hash(*values),
    ),
    (
        "series",
        f"SELECT series, hash, {', '.join(SERIES_COLUMNS)} FROM series ORDER BY series",
        _hash_of("series", SERIES_COLUMNS),
    ),
    (
        "prices",
        f"SELECT price, hash, {', '.join(PRICE_COLUMNS)} FROM prices ORDER BY price",
        _hash_of("price", PRICE_COLUMNS),
    ),
)
