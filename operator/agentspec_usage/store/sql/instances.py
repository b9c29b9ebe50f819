"""Where each instance stands: its watermark, and its totals as they came on each path.

*applied* is the sum of all items that frames brought. *reported* is the maximum of every total that
the instance ever told, in frames and heartbeats, or that the operator read. Neither ever falls, and
no deletion of old items touches them. *estimated* is what is charged without having been delivered
(``tail``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentspec_usage.metering.counts import COMPONENTS, ZERO, TokenCounts
from agentspec_usage.metering.receiving import NOTHING, FrameMark, Watermark
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.store.proof.rows import named_hash
from agentspec_usage.store.sql.connection import Connection

__all__ = [
    "InstanceRow",
    "conflicted",
    "durable_seqs",
    "instance_hash",
    "instance_row",
    "move_watermark",
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
    """An instance as it is stored: ``number`` is what other tables refer to, ``hash`` what stands
    for it in what is hashed."""

    number: int
    hash: str


def instance_row(
    connection: Connection, agent: int, instance_id: str, observer: Observer, now: int
) -> InstanceRow:
    """The agent's instance, new if it was never heard of; who counted first is its observer."""
    known = connection.execute(
        "SELECT instance, hash FROM instances WHERE agent = ? AND instance_id = ?",
        (agent, instance_id),
    ).fetchone()
    if known is None:
        owner = connection.execute("SELECT agent_id FROM agents WHERE agent = ?", (agent,))
        said = instance_hash(owner.fetchone()[0], instance_id, str(observer))
        known = connection.execute(
            "INSERT INTO instances (agent, instance_id, observer, first_seen_at, hash) "
            "VALUES (?, ?, ?, ?, ?) RETURNING instance, hash",
            (agent, instance_id, str(observer), now, said),
        ).fetchone()
    return InstanceRow(*known)


def instance_hash(agent_id: str, instance_id: str, observer: str) -> str:
    """What stands for an instance in what is hashed. Its agent is in it: under another one its
    watermark would not be found, and all that it delivered would be told again."""
    return named_hash(
        "instance", {"agent_id": agent_id, "instance_id": instance_id, "observer": observer}
    )


def watermark_of(connection: Connection, agent: int, instance_id: str) -> Watermark:
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
    connection: Connection, instance: int, to: Watermark, now: int, *, lost: bool
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


def conflicted(connection: Connection, agent: int, instance_id: str) -> None:
    """Count a frame that came again in other bytes."""
    connection.execute(
        "UPDATE instances SET conflicts = conflicts + 1 WHERE agent = ? AND instance_id = ?",
        (agent, instance_id),
    )


def totals_of(connection: Connection, instance: int, path: str) -> TokenCounts:
    row = connection.execute(_TOTALS, (instance, path)).fetchone()
    return ZERO if row is None else TokenCounts(*row)


def durable_seqs(
    connection: Connection, agent_id: str, instance_ids: Sequence[str]
) -> dict[str, int]:
    """Up to which seq each instance's calls are stored; 0 for one that is not known."""
    rows = connection.execute(
        "SELECT instance_id, seq FROM instances JOIN agents USING (agent) WHERE agent_id = ? "
        f"AND instance_id IN ({', '.join('?' * len(instance_ids))})",
        (agent_id, *instance_ids),
    )
    return {**dict.fromkeys(instance_ids, 0), **dict(rows)}
