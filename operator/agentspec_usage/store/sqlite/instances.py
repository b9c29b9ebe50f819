"""Where each instance stands: its watermark, and its totals as they came on each path.

*applied* is the sum of all items that were stored. *reported* is the maximum of every total that
the instance ever told, in frames and in heartbeats: what it exceeds *applied* by has been used and
not been delivered yet. Neither ever falls, and no deletion of old items touches them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from agentspec_usage.metering.counts import COMPONENTS, ZERO, TokenCounts
from agentspec_usage.metering.receiving import NOTHING, FrameMark, Watermark
from agentspec_usage.metering.snapshot import Observer

__all__ = [
    "InstanceRow",
    "conflicted",
    "durable_seqs",
    "instance_row",
    "move_watermark",
    "raise_reported",
    "totals_of",
    "watermark_of",
]

_COUNTS = ", ".join(COMPONENTS)
_MARKS = ", ".join("?" * len(COMPONENTS))
_SET_COUNTS = ", ".join(f"{name} = excluded.{name}" for name in COMPONENTS)

_TOTALS = f"SELECT {_COUNTS} FROM instance_totals WHERE instance = ? AND path = ?"
_SET_TOTALS = f"""
    INSERT INTO instance_totals (instance, path, {_COUNTS}) VALUES (?, ?, {_MARKS})
    ON CONFLICT (instance, path) DO UPDATE SET {_SET_COUNTS}"""


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """An instance as it is stored: ``number`` is what other tables refer to."""

    number: int
    instance_id: str
    observer: str


def instance_row(
    connection: sqlite3.Connection, agent: int, instance_id: str, observer: Observer, now: int
) -> InstanceRow:
    """The agent's instance, new if it was never heard of; who counted first is its observer."""
    known = connection.execute(
        "SELECT instance, instance_id, observer FROM instances WHERE agent = ? AND instance_id = ?",
        (agent, instance_id),
    ).fetchone()
    if known is not None:
        return InstanceRow(*known)
    added = connection.execute(
        "INSERT INTO instances (agent, instance_id, observer, first_seen_at) VALUES (?, ?, ?, ?)",
        (agent, instance_id, str(observer), now),
    )
    return InstanceRow(int(added.lastrowid or 0), instance_id, str(observer))


def watermark_of(connection: sqlite3.Connection, agent: int, instance_id: str) -> Watermark:
    """Where the agent's instance stands; ``NOTHING`` if it was never heard of."""
    row = connection.execute(
        "SELECT instance, seq, final, newest_since, newest_last, newest_digest FROM instances "
        "WHERE agent = ? AND instance_id = ?",
        (agent, instance_id),
    ).fetchone()
    if row is None:
        return NOTHING
    instance, seq, final, since, last, digest = row
    newest = None if digest is None else FrameMark(since, last, digest)
    return Watermark(seq, totals_of(connection, instance, "applied"), bool(final), newest)


def move_watermark(
    connection: sqlite3.Connection, instance: int, to: Watermark, now: int, *, lost: bool
) -> None:
    """The instance stands at ``to`` from now on. ``lost``: calls in between are known as a sum."""
    mark = to.newest
    connection.execute(
        "UPDATE instances SET seq = ?, final = ?, newest_since = ?, newest_last = ?, "
        "newest_digest = ?, last_frame_at = ?, rolled_back_at = coalesce(?, rolled_back_at) "
        "WHERE instance = ?",
        (
            *(to.seq, int(to.final), mark and mark.since, mark and mark.last, mark and mark.digest),
            *(now, now if lost else None, instance),
        ),
    )
    connection.execute(_SET_TOTALS, (instance, "applied", *to.totals.as_tuple()))


def conflicted(connection: sqlite3.Connection, agent: int, instance_id: str) -> None:
    """Count a frame that came again in other bytes."""
    connection.execute(
        "UPDATE instances SET conflicts = conflicts + 1 WHERE agent = ? AND instance_id = ?",
        (agent, instance_id),
    )


def raise_reported(connection: sqlite3.Connection, instance: int, told: TokenCounts) -> None:
    """The instance told these totals, on whatever path."""
    known = totals_of(connection, instance, "reported")
    if told and not known.covers(told):
        connection.execute(_SET_TOTALS, (instance, "reported", *known.join(told).as_tuple()))


def totals_of(connection: sqlite3.Connection, instance: int, path: str) -> TokenCounts:
    row = connection.execute(_TOTALS, (instance, path)).fetchone()
    return ZERO if row is None else TokenCounts(*row)


def durable_seqs(
    connection: sqlite3.Connection, agent_id: str, instance_ids: Sequence[str]
) -> dict[str, int]:
    """Up to which seq each instance's calls are stored; 0 for one that is not known."""
    rows = connection.execute(
        "SELECT instance_id, seq FROM instances JOIN agents USING (agent) WHERE agent_id = ? "
        f"AND instance_id IN ({', '.join('?' * len(instance_ids))})",
        (agent_id, *instance_ids),
    )
    return {**dict.fromkeys(instance_ids, 0), **dict(rows)}
