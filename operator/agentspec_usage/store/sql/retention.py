"""Dropping rows: whole batches from the beginning of the journal on, a chunk a transaction.

A plan is made from what can change no more, so it is made beside the writer: the sums of closed
periods, and which batches have nothing newer. A chunk then deletes rows with their details and
salts, adds them to the sums of what was dropped, and seals what is left, all in one transaction.

What corrects a row belongs to it, and so do the links of a session of usage events: they are
dropped together or stay together. What stays of an old chunk is looked at again with the next plan.

Watermarks, totals and batches are not touched: no old frame is taken again, and the chain is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from agentspec_usage.metering.counts import COMPONENTS, MAX_COUNT
from agentspec_usage.store.errors import StoreError
from agentspec_usage.store.proof.chain import Head
from agentspec_usage.store.proof.event_chain import read_link
from agentspec_usage.store.proof.pruned import Pruned
from agentspec_usage.store.retention import PruningPlan, Seal
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dialect import Dialect
from agentspec_usage.store.sql.differences import first_changed_sum
from agentspec_usage.store.sql.items import SEQS
from agentspec_usage.store.sql.journal import ledger_of
from agentspec_usage.store.sql.pruned import (
    hash_of_kept,
    hash_of_sums,
    hash_of_totals,
    pruned_of,
)

__all__ = ["plan_pruning", "prune"]

_NEWER = "SELECT item FROM items WHERE item > ? AND at + 0 >= ? ORDER BY item LIMIT 1"
"""Found by reading on from what was dropped; an index by time would have to sort all that is newer.
"""

_CANDIDATES = """
    SELECT items.item, coalesce(corrects, items.item), session, batch
    FROM items LEFT JOIN usage_events USING (item)
    WHERE items.item > ? AND items.item <= ? ORDER BY items.item"""

_HELD = f"""
    SELECT corrects FROM items WHERE corrects <= ? AND item > ?
    UNION
    SELECT root FROM (
        SELECT item AS root, {", ".join(COMPONENTS)} FROM items
        WHERE kind = 'estimate' AND item > ? AND item <= ?
        UNION ALL
        SELECT corrects, {", ".join(COMPONENTS)} FROM items
        WHERE corrects IN
            (SELECT item FROM items WHERE kind = 'estimate' AND item > ? AND item <= ?)
    ) AS estimates GROUP BY root HAVING {" OR ".join(f"sum({name}) <> 0" for name in COMPONENTS)}"""
"""What a row that stays corrects, and estimates that still stand."""

_Range = tuple[int, int]
"""The first and the last of items that follow each other."""


@dataclass(frozen=True, slots=True)
class _Dropped:
    items: Sequence[int]
    newest: dict[int, int]
    """The newest item of each session."""
    batches: Iterable[int]


def plan_pruning(connection: Connection, before: int) -> PruningPlan:
    """What may be dropped; see ``RetentionStore``."""
    (until,) = connection.execute(
        "SELECT max(end_at) FROM periods WHERE end_at <= ?", (before,)
    ).fetchone()
    mark = _mark(connection)
    if until is None or until < mark.until:
        return PruningPlan()
    if found := first_changed_sum(connection, mark.until, until):
        raise StoreError(
            f"{found[0]}: {found[1]}: nothing is dropped, because this could not be proved any "
            "more (agentspec-usage verify tells what is wrong)"
        )
    newer = connection.execute(_NEWER, (mark.head.last, until)).fetchone()
    row = connection.execute(
        "SELECT batch, last_item FROM batches WHERE last_item < ? ORDER BY batch DESC LIMIT 1",
        (2**62 if newer is None else newer[0],),
    ).fetchone()
    # The chain may begin with periods that were closed before anything was used.
    if row is None or (not mark.until and row[1] == mark.head.last):
        return PruningPlan()
    sums = hash_of_sums(connection, until, mark.until, mark.sums)
    return PruningPlan(until, row[0], row[1] - mark.head.last, sums)


def prune(
    connection: Connection, plan: PruningPlan, seal: Seal | None, now: int, limit: int
) -> int | None:
    """Drop the next chunk of ``plan``, inside the transaction that is open; None when done."""
    mark = _mark(connection)
    if plan.until < mark.until or (plan.until == mark.until and plan.batch <= mark.head.batch):
        return None
    head = _next_head(connection, mark.head, plan.batch, limit)
    low = mark.head.last if plan.until == mark.until else 0
    dropped = _choose(connection, low, head.last)
    _drop(connection, dropped)
    left = Pruned(
        mark.ledger,
        head,
        now,
        "" if seal is None else seal.key_id,
        plan.until,
        hash_of_kept(connection, head.last),
        hash_of_totals(connection),
        plan.sums,
    )
    _keep_mark(connection, left, _signature(left, seal))
    return len(dropped.items)


def _mark(connection: Connection) -> Pruned:
    known = pruned_of(connection)
    if known is not None:
        return known[0]
    ledger, genesis = ledger_of(connection)
    return Pruned(ledger, genesis, 0, "", 0, b"", b"", b"")


def _next_head(connection: Connection, head: Head, batch: int, limit: int) -> Head:
    """The last batch of the next chunk: at least one, and about ``limit`` rows."""
    row = connection.execute(
        "SELECT batch, hash, last_item FROM batches WHERE batch > ? AND batch <= ? "
        "AND (last_item <= ? OR batch = ?) ORDER BY batch DESC LIMIT 1",
        (head.batch, batch, head.last + limit, head.batch + 1),
    ).fetchone()
    return head if row is None else Head(*row)


def _choose(connection: Connection, low: int, last: int) -> _Dropped:
    """The rows in ``(low, last]`` that nothing which stays refers to."""
    rows = connection.execute(_CANDIDATES, (low, last)).fetchall()
    held = {root for (root,) in connection.execute(_HELD, (last, last, low, last, low, last))}
    sessions = {session for item, _, session, _ in rows if session is not None and item in held}
    sessions |= {
        session
        for (session,) in connection.execute(
            "SELECT DISTINCT session FROM usage_events WHERE item <= ?", (low,)
        )
    }
    held |= {item for item, _, session, _ in rows if session in sessions}
    # What corrects a row of an earlier chunk corrects one that stayed.
    free = [row for row in rows if row[1] > low and row[1] not in held]
    newest = {session: item for item, _, session, _ in free if session is not None}
    batches = {batch for *_, batch in free if batch is not None}
    return _Dropped([item for item, *_ in free], newest, batches)


def _drop(connection: Connection, dropped: _Dropped) -> None:
    ranges = list(_ranges(dropped.items))
    connection.executemany(_add_to_cells(connection.dialect), ranges)
    _cut_sessions(connection, dropped.newest)
    for table in ("usage_events", "item_details", "items"):
        connection.executemany(f"DELETE FROM {table} WHERE item >= ? AND item <= ?", ranges)
    connection.executemany(
        "DELETE FROM event_batches WHERE batch = ?", [(batch,) for batch in dropped.batches]
    )


def _ranges(items: Iterable[int]) -> Iterator[_Range]:
    first = last = 0
    for item in items:
        if item != last + 1:
            if last:
                yield first, last
            first = item
        last = item
    if last:
        yield first, last


@cache
def _add_to_cells(dialect: Dialect) -> str:
    sums = ", ".join(dialect.summed_count(f"items.{name}") for name in COMPONENTS)
    added = ", ".join(
        f"{name} = {dialect.least(f'pruned_cells.{name} + excluded.{name}', str(MAX_COUNT))}"
        for name in ("seqs", *COMPONENTS)
    )
    return (
        f"INSERT INTO pruned_cells (instance, series, seqs, {', '.join(COMPONENTS)}) "
        f"SELECT instance, series, {dialect.summed_count(SEQS)}, {sums} FROM items "
        "WHERE item >= ? AND item <= ? GROUP BY instance, series "
        f"ON CONFLICT (instance, series) DO UPDATE SET {added}"
    )


def _cut_sessions(connection: Connection, newest: dict[int, int]) -> None:
    """Remember the last link of each session that is dropped: the next one names its hash."""
    cut = []
    for session, item in sorted(newest.items()):
        (text,) = connection.execute(
            "SELECT link FROM usage_events WHERE item = ?", (item,)
        ).fetchone()
        link = read_link(text)
        if link is None:
            raise StoreError(f"the event of row {item} is not what was accepted: nothing dropped")
        cut.append((session, link.seq, link.hash))
    connection.executemany(
        "INSERT INTO pruned_sessions (session, seq, hash) VALUES (?, ?, ?) "
        "ON CONFLICT (session) DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
        cut,
    )


def _signature(left: Pruned, seal: Seal | None) -> bytes:
    """A plain hash where there is no key, so that a slip shows all the same."""
    if seal is None:
        return sha256(left.text.encode()).digest()
    return seal.signed(left).signature


def _keep_mark(connection: Connection, mark: Pruned, signature: bytes) -> None:
    connection.execute("DELETE FROM pruned")
    connection.execute(
        "INSERT INTO pruned "
        "(pruned, batch, until, kept, totals, sums, at, key_id, signature) "
        "VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(mark.head.batch, mark.until, mark.kept, mark.totals, mark.sums),
            *(mark.at, mark.key_id, signature),
        ),
    )
