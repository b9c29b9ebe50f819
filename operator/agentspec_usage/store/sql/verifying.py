"""Reading the whole journal again: is every row what was accepted, in its order, and nothing else,
and is every closed period there as it was closed, and no other?

The walk goes batch by batch, computes each row's hash from what the database says now, and names
the first row, batch or sum that is not what it was. It needs the file alone; with the public key it
also checks who signed the heads, and a checkpoint kept elsewhere shows that the chain as a whole
was not written anew, and that nothing is missing at its end.

A row whose details were erased on purpose still verifies: what was hashed of them is there, and
the number of such rows is told. So do rows that were dropped by policy: their batches are in the
chain, and what is left of them is sealed (``proof.pruned``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from typing import NamedTuple, Protocol

from agentspec_usage.store.proof.chain import Batch, Head, follows
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.proof.pruned import Pruned
from agentspec_usage.store.proof.tree import root_of
from agentspec_usage.store.proof.verified import Dropped, Finding, Verified, WrongError
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.differences import first_difference
from agentspec_usage.store.sql.event_checks import first_wrong_event
from agentspec_usage.store.sql.journal import StoredBatch, ledger_of, stored_batches
from agentspec_usage.store.sql.name_checks import first_changed_name
from agentspec_usage.store.sql.period_checks import first_changed_period
from agentspec_usage.store.sql.pruned import changed_since, pruned_of
from agentspec_usage.store.sql.row_hashes import Roots, RowHashes

__all__ = ["Checks", "Helpers", "verify"]


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


class Helpers(Protocol):
    """Others who read the same database, each at a moment of its own.

    Each call begins something and answers with what waits for its end. What a helper does not find
    to be good, or cannot say, is looked at again by whoever asked, at that one's own moment: a
    helper can save work, and decide nothing else.
    """

    @property
    def ahead(self) -> int:
        """How much to begin before the first end is waited for."""
        ...

    def roots(self, ranges: Sequence[tuple[int, int]]) -> Callable[[], Roots | None]:
        """``row_hashes.roots_of``, or None."""
        ...

    def sums(self, since: int) -> Callable[[], bool]:
        """Whether ``differences.first_difference`` finds nothing."""
        ...


Progress = Callable[[int], None]


def verify(
    connection: Connection,
    checks: Checks,
    *,
    is_signed: Callable[[SignedCheckpoint], bool] | None = None,
    kept: Sequence[SignedCheckpoint] = (),
    progress: Progress = lambda rows: None,
    helpers: Helpers | None = None,
) -> Verified:
    """Verify the database behind ``connection``, which is in a transaction that sees one moment.

    ``is_signed`` says whether a signature is good; without it signatures are not looked at.
    ``kept`` are checkpoints from outside. ``progress`` hears how many rows are done.
    ``helpers`` do what can be done beside it; without them all is done here.
    """
    walk = _Walk(connection, checks, is_signed, progress, helpers)
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
    except WrongError as error:
        return walk.result(error.finding)
    except Exception as error:
        if not checks.garbled(error):
            raise
        return walk.result(Finding(f"batch {walk.good + 1}", "it has a text that is no UTF-8"))
    return walk.result(None)


_ROWS_AT_ONCE = 10_000
"""Enough that asking costs nothing beside the work; small enough to be held."""


class _Begun(NamedTuple):
    """Batches whose rows are read, by a helper where ``found`` is there."""

    batches: Sequence[StoredBatch]
    ranges: Sequence[tuple[int, int]]
    found: Callable[[], Roots | None] | None


class _Walk:
    def __init__(
        self,
        connection: Connection,
        checks: Checks,
        is_signed: Callable[[SignedCheckpoint], bool] | None,
        progress: Progress,
        helpers: Helpers | None,
    ) -> None:
        self._connection = connection
        self._checks = checks
        self._is_signed = is_signed
        self._progress = progress
        self._helpers = helpers
        self._sums_are_good: Callable[[], bool] = lambda: False
        self._ledger, self._genesis = "", Head(0, b"", 0)
        self._head = self._genesis
        self._signed_to = self._genesis
        self._closings: list[Batch] = []
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
            raise WrongError(wrong, "it is not as this program made it")

    def names(self) -> None:
        """What rows have by a hash is what was hashed."""
        if found := first_changed_name(self._connection):
            raise WrongError(*found)

    def batches(self) -> None:
        """Every batch follows the one before it, and is the root of its rows as they are now."""
        if self._connection.execute("SELECT 1 FROM ledger").fetchone() is None:
            raise WrongError("ledger", "it is missing")
        self._ledger, self._genesis = ledger_of(self._connection)
        self._head = self._genesis
        self._signed_to = self._genesis
        dropped_to = self._what_is_left()
        if self._helpers is not None:
            # The longest of what can be done beside the walk, so it begins first.
            self._sums_are_good = self._helpers.sums(self._until)
        for stored, root in self._with_roots(dropped_to):
            batch = stored.batch
            if root not in (None, batch.root):
                raise WrongError(
                    f"batch {batch.number}",
                    f"its rows {batch.first} to {batch.last} are not those that were accepted",
                )
            if batch.hash != stored.hash:
                raise WrongError(f"batch {batch.number}", "its hash is not that of what it says")
            self._head = Head(batch.number, stored.hash, batch.last)
            if batch.closes is not None:
                self._closings.append(batch)
            self._checkpoint(stored.signed)
            self._progress(batch.last - self._genesis.last)
        self._nothing_beside()

    def _with_roots(self, dropped_to: int) -> Iterator[tuple[StoredBatch, bytes | None]]:
        """The batches, each with the root of its rows; None of one whose rows may be gone.

        Where one does not follow the one before it, that is told after everything before it was.
        """
        begun: deque[_Begun] = deque()
        ahead = 0 if self._helpers is None else self._helpers.ahead
        some = self._some_batches()
        while True:
            try:
                batches = next(some, None)
            except WrongError:
                for each in begun:
                    yield from self._ended(each)
                raise
            if batches is None:
                break
            ranges = [
                (each.batch.first, each.batch.last)
                for each in batches
                if each.batch.last > dropped_to
            ]
            found = None if self._helpers is None else self._helpers.roots(ranges)
            begun.append(_Begun(batches, ranges, found))
            if len(begun) > ahead:
                yield from self._ended(begun.popleft())
        for each in begun:
            yield from self._ended(each)

    def _ended(self, begun: _Begun) -> Iterator[tuple[StoredBatch, bytes | None]]:
        gone = len(begun.batches) - len(begun.ranges)
        yield from ((each, None) for each in begun.batches[:gone])
        found = None if begun.found is None else begun.found()
        if found is None:
            yield from self._looked_at(begun.batches[gone:])
        else:
            self._erased += found.erased
            yield from zip(begun.batches[gone:], found.roots, strict=True)

    def _looked_at(
        self, batches: Sequence[StoredBatch]
    ) -> Iterator[tuple[StoredBatch, bytes | None]]:
        """One after the other: what is good before what is wrong is told as well."""
        if not batches:
            return
        first, last = batches[0].batch.first, batches[-1].batch.last
        with closing(RowHashes(self._connection, first, last)) as rows:
            for stored in batches:
                erased = rows.erased
                root = root_of(rows.leaves(stored.batch.first, stored.batch.last))
                self._erased += rows.erased - erased
                yield stored, root

    def _some_batches(self) -> Iterator[list[StoredBatch]]:
        """Batches that follow each other, of some thousand rows. Raises where one does not."""
        head, some = self._genesis, list[StoredBatch]()
        for stored in stored_batches(self._connection):
            batch = stored.batch
            if wrong := follows(batch, head):
                if some:
                    yield some
                raise WrongError(f"batch {batch.number}", wrong)
            head = Head(batch.number, batch.hash, batch.last)
            some.append(stored)
            if batch.last - some[0].batch.first >= _ROWS_AT_ONCE:
                yield some
                some = []
        if some:
            yield some

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
                raise WrongError(where, "it is not what was written down when they were dropped")
        elif self._is_signed is not None and not self._is_signed(signed):
            raise WrongError(where, "its signature is not of this key")
        if changed := changed_since(self._connection, mark):
            raise WrongError(where, changed)
        with closing(RowHashes(self._connection, self._genesis.last + 1, mark.head.last)) as rows:
            stayed = sum(1 for _ in rows)
            self._erased += rows.erased
        self._pruned = mark
        self._dropped = mark.head.last - self._genesis.last - stayed
        return mark.head.last

    def kept(self, checkpoints: Sequence[SignedCheckpoint]) -> None:
        """What was kept outside is where the chain was at that time."""
        for signed in checkpoints:
            checkpoint = signed.checkpoint
            where = f"the checkpoint at batch {checkpoint.head.batch}"
            if self._is_signed is not None and not self._is_signed(signed):
                raise WrongError(where, "its signature is not of this key")
            if checkpoint.ledger != self._ledger:
                raise WrongError(where, "it is of another ledger")
            if checkpoint.head.batch > self._head.batch:
                raise WrongError(
                    where,
                    f"the chain ends before it, at batch {self._head.batch}: its end is missing",
                )
            if self._batch_head(checkpoint.head.batch) != checkpoint.head:
                raise WrongError(where, "the chain was another one then: it was written anew")
            if checkpoint.head.batch > self._signed_to.batch:
                self._signed_to = checkpoint.head

    def sums(self) -> None:
        """What is kept of the rows beside them is what the rows say."""
        if self._sums_are_good():
            return
        if found := first_difference(self._connection, self._until):
            raise WrongError(*found)

    def events(self) -> None:
        """The chains of usage events are whole, and say what was charged."""
        if found := first_wrong_event(self._connection):
            raise WrongError(*found)

    def periods(self) -> None:
        """Closed periods are those that the chain closed, as they were written down then, and
        nothing was added to them."""
        if found := first_changed_period(self._connection, self._closings, self._until):
            raise WrongError(*found)

    def indexes(self) -> None:
        """What finds rows by their time finds all of them, and no other."""
        for wrong in self._checks.indexes(self._connection):
            raise WrongError(*wrong)

    def result(self, finding: Finding | None) -> Verified:
        good = self._head.last - self._genesis.last - self._dropped
        mark, signed = self._pruned, self._signed_to
        return Verified(
            self._ledger,
            max(good, 0),
            self._head.batch,
            self._erased,
            self._signed,
            max(self._head.last - signed.last, 0),
            sum(closing.number > signed.batch for closing in self._closings),
            finding,
            None if mark is None else Dropped(self._dropped, mark.until, mark.key_id),
        )

    def _nothing_beside(self) -> None:
        """No row beyond the batches, no details of no row, no signed head of no batch."""
        extra = self._connection.execute(
            "SELECT min(item) FROM items WHERE item > ?", (self._head.last,)
        ).fetchone()[0]
        if extra is not None:
            raise WrongError(f"row {extra}", "it is in no batch: it was inserted past the chain")
        before = self._connection.execute(
            "SELECT min(item) FROM items WHERE item <= ?", (self._genesis.last,)
        ).fetchone()[0]
        if before is not None:
            raise WrongError(f"row {before}", "it is from before the journal")
        orphan = self._connection.execute(
            "SELECT item_details.item FROM item_details LEFT JOIN items USING (item) "
            "WHERE items.item IS NULL ORDER BY item_details.item LIMIT 1"
        ).fetchone()
        if orphan is not None:
            raise WrongError(f"the details of row {orphan[0]}", "there is no such row")
        newest = self._connection.execute("SELECT max(batch) FROM checkpoints").fetchone()[0]
        if newest is not None and newest > self._head.batch:
            raise WrongError(
                f"the checkpoint at batch {newest}",
                f"the chain ends before it, at batch {self._head.batch}: its end is missing",
            )

    def _checkpoint(self, signed: SignedCheckpoint | None) -> None:
        if signed is None:
            return
        if self._is_signed is not None and not self._is_signed(signed):
            raise WrongError(
                f"the checkpoint at batch {self._head.batch}", "its signature is not of this key"
            )
        self._signed += 1
        self._signed_to = self._head

    def _batch_head(self, batch: int) -> Head:
        if not batch:
            return self._genesis
        row = self._connection.execute(
            "SELECT hash, last_item FROM batches WHERE batch = ?", (batch,)
        ).fetchone()
        return Head(batch, *row)
