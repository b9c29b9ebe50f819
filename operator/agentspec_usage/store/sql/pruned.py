"""How far the journal was dropped, and the hashes that seal what is left of it.

They are over what rows say by name, not by their numbers, so that another name shows as well. The
hash of the sums is a chain with a link a closed period: one more period needs no earlier one again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from agentspec_usage.metering.counts import COMPONENTS
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.store.proof.chain import Head
from agentspec_usage.store.proof.pruned import Pruned
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.journal import ledger_of
from agentspec_usage.store.sql.rollups import BUCKETS, SUM_COLUMNS

__all__ = [
    "changed_since",
    "hash_of_kept",
    "hash_of_sums",
    "hash_of_totals",
    "pruned_of",
    "pruned_until",
]

_MARK = """
    SELECT pruned.batch, batches.hash, last_item, pruned.at, key_id, until, kept, totals, sums,
    signature FROM pruned LEFT JOIN batches USING (batch)"""

_KEPT = "SELECT item, leaf FROM items WHERE item <= ? ORDER BY item"

_CELLS = f"""
    SELECT instances.hash, series.hash, seqs, {", ".join(f"cells.{n}" for n in COMPONENTS)}
    FROM pruned_cells AS cells LEFT JOIN instances USING (instance) LEFT JOIN series USING (series)
    ORDER BY cells.instance, cells.series"""

_SESSIONS = """
    SELECT agent_id, pruned_sessions.session, pruned_sessions.seq, pruned_sessions.hash
    FROM pruned_sessions LEFT JOIN event_sessions USING (session) LEFT JOIN agents USING (agent)
    ORDER BY pruned_sessions.session"""

_SUMS = f"""
    SELECT start, accounts.hash, series.hash, prices.hash,
    {", ".join(f"kept.{name}" for name in SUM_COLUMNS)}
    FROM {BUCKETS} AS kept LEFT JOIN accounts USING (account) LEFT JOIN series USING (series)
    LEFT JOIN prices USING (price)
    WHERE start >= ? AND start < ? ORDER BY start, kept.account, kept.series, kept.price"""


def pruned_of(connection: Connection) -> tuple[Pruned, bytes] | None:
    """How far rows were dropped, and its signature; None when none were."""
    row = connection.execute(_MARK).fetchone()
    if row is None:
        return None
    batch, hashed, last, at, key_id, until, kept, totals, sums, signature = row
    head = Head(batch, hashed or b"", last or 0)
    ledger, _ = ledger_of(connection)
    return Pruned(ledger, head, at, key_id, until, kept, totals, sums), signature


def pruned_until(connection: Connection) -> int:
    """Before when (ms) rows may be missing; 0 when none were dropped."""
    row = connection.execute("SELECT until FROM pruned").fetchone()
    return 0 if row is None else int(row[0])


def hash_of_kept(connection: Connection, last: int) -> bytes:
    """Of the rows up to ``last`` that are there."""
    return _hash((item, leaf.hex()) for item, leaf in connection.stream(_KEPT, (last,)))


def hash_of_totals(connection: Connection) -> bytes:
    """Of the sums of dropped rows by instance and series, and of where sessions were cut."""
    cells = _hash(connection.stream(_CELLS))
    return sha256(cells + _hash(connection.stream(_SESSIONS))).digest()


def hash_of_sums(connection: Connection, until: int, since: int = 0, before: bytes = b"") -> bytes:
    """Of all sums by time before ``until``, the end of a closed period; ``before`` is the hash of
    those before ``since``."""
    ends = connection.execute(
        "SELECT end_at FROM periods WHERE end_at > ? AND end_at <= ? ORDER BY end_at",
        (since, until),
    ).fetchall()
    hashed, start = before, since or -(2**62)
    for (end,) in ends:
        period = _hash(connection.stream(_SUMS, (start, end)))
        hashed, start = sha256(hashed + period).digest(), end
    return hashed


def changed_since(connection: Connection, mark: Pruned) -> str:
    """What of what is left is not what ``mark`` seals; "" when all of it is."""
    ends = connection.execute("SELECT 1 FROM periods WHERE end_at = ?", (mark.until,))
    if ends.fetchone() is None:
        return f"no period was closed that ended at {to_rfc3339(mark.until)}"
    if hash_of_kept(connection, mark.head.last) != mark.kept:
        return "the rows that stayed are not those that did"
    if hash_of_totals(connection) != mark.totals:
        return "the totals of dropped rows are not what they were"
    if hash_of_sums(connection, mark.until) != mark.sums:
        return "the sums of dropped rows are not what they were"
    return ""


def _hash(rows: Iterable[Sequence[Any]]) -> bytes:
    """Of whole numbers and hashes, which have no comma and no line end."""
    hashed = sha256()
    for row in rows:
        hashed.update((",".join(map(str, row)) + "\n").encode())
    return hashed.digest()
