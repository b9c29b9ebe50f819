"""Usage events as items, as links of their sessions' chains, and as batches: one transaction.

The items come by the same way as every frame's, so money, sums and proof are the same; what is here
is what an event has beside them. A portion that begins elsewhere than where the store stands is not
written: it was before, or the store went back in time (``metering.event_sealing``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256

from agentspec_usage.metering.event_sealing import EventFrame
from agentspec_usage.metering.receiving import AlreadyHave, Apply, Gap, Verdict, accept
from agentspec_usage.metering.usage_event import UsageEvent
from agentspec_usage.store.errors import StoreError
from agentspec_usage.store.events import FlushedEvents
from agentspec_usage.store.proof.event_batch import EventBatch, encode_batch
from agentspec_usage.store.proof.event_chain import GENESIS, Link, link_of
from agentspec_usage.store.sql.agents import AgentRow, agent_row
from agentspec_usage.store.sql.charging import Charging
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import Dictionaries
from agentspec_usage.store.sql.event_batches import StoredBatch, made_now
from agentspec_usage.store.sql.frames import apply_frames
from agentspec_usage.store.sql.instances import watermark_of
from agentspec_usage.store.values import DigestedFrame
from agentspec_usage.wire.records_encoding import frame_digest

__all__ = ["flush_events", "set_event_aside"]

MAX_QUARANTINED = 10_000
"""Events that are kept beside: whoever sends what cannot be stored does not fill the disk."""

_ITEMS = """
    SELECT item FROM items JOIN instances USING (instance)
    WHERE item > ? AND instance_id = ? AND kind = 'record' ORDER BY item"""

_Run = tuple[str, str, str]
"""A session, a run of it, and the run that started that one."""


def flush_events(
    connection: Connection,
    dictionaries: Dictionaries,
    charging: Charging,
    frames: Sequence[EventFrame],
    now: int,
) -> FlushedEvents:
    """Store the portion, inside the transaction that is open; or say that it stands elsewhere."""
    found = [_Stretch(one, agent_row(connection, one.agent_id)) for one in frames]
    verdicts = [each.verdict(connection) for each in found]
    rewound = [
        each.agent.agent_id
        for each, verdict in zip(found, verdicts, strict=True)
        if isinstance(verdict, Gap) or (isinstance(verdict, AlreadyHave) and verdict.conflict)
    ]
    if rewound:
        return FlushedEvents(rewound=tuple(rewound))
    batches: list[EventBatch] = []
    for each, verdict in zip(found, verdicts, strict=True):
        if isinstance(verdict, Apply):
            newest = connection.execute("SELECT max(item) FROM items").fetchone()[0] or 0
            agent_id = each.agent.agent_id
            apply_frames(connection, dictionaries, charging, agent_id, [each.digested], now)
            instance_id = each.digested.frame.instance_id
            items = connection.execute(_ITEMS, (newest, instance_id)).fetchall()
            batches += _chain(connection, each, [item for (item,) in items])
    return FlushedEvents(tuple(batches))


def set_event_aside(connection: Connection, event: UsageEvent, reason: str, now: int) -> None:
    """Keep the event as JSON in ASCII, which nothing refuses; the newest are kept."""
    connection.execute(
        "INSERT INTO quarantined_events (agent_id, at, reason, event) VALUES (?, ?, ?, ?)",
        (event.agent_id, now, reason, json.dumps(asdict(event), separators=(",", ":"))),
    )
    connection.execute(
        "DELETE FROM quarantined_events WHERE quarantined <= "
        "(SELECT max(quarantined) FROM quarantined_events) - ?",
        (MAX_QUARANTINED,),
    )


class _Stretch:
    """One agent's events, as the frame by which they are stored."""

    def __init__(self, one: EventFrame, agent: AgentRow) -> None:
        self.agent = agent
        self.events = one.events
        self.digested = DigestedFrame(one.frame, frame_digest(one.frame))

    def verdict(self, connection: Connection) -> Verdict:
        frame = self.digested.frame
        durable = watermark_of(connection, self.agent.number, frame.instance_id)
        return accept(durable, frame, self.digested.digest)


def _chain(connection: Connection, stretch: _Stretch, items: Sequence[int]) -> list[EventBatch]:
    """Link the events that these items are, and keep the batches that they make."""
    agent, frame = stretch.agent, stretch.digested.frame
    sessions = _Sessions(connection, agent.number)
    batches: dict[_Run, StoredBatch] = {}
    links = []
    for seq, (event, item) in enumerate(zip(stretch.events, items, strict=True), frame.since + 1):
        run = (event.session, event.run, event.parent_run)
        batch = batches.get(run)
        if batch is None:
            batch = batches[run] = _new_batch(connection, agent, _batch_id(frame.instance_id, seq))
        session, link = sessions.link(event, batch.batch_id, item)
        links.append((item, session, batch.number, link.text))
    connection.insert("usage_events", ("item", "session", "batch", "link"), links)
    sessions.write()
    made = [_made(connection, batch) for batch in batches.values()]
    connection.executemany(
        "UPDATE event_batches SET told = ? WHERE batch_id = ?",
        [(encode_batch(batch), batch.batch_id) for batch in made],
    )
    return made


def _new_batch(connection: Connection, agent: AgentRow, batch_id: str) -> StoredBatch:
    (number,) = connection.execute(
        "INSERT INTO event_batches (batch_id, agent, told) VALUES (?, ?, '') RETURNING batch",
        (batch_id, agent.number),
    ).fetchone()
    return StoredBatch(number, batch_id, agent.namespace, agent.name, "")


def _made(connection: Connection, stored: StoredBatch) -> EventBatch:
    """From the rows, as everybody makes it who asks later."""
    batch, finding = made_now(connection, stored)
    if batch is None:
        raise StoreError(f"batch {stored.batch_id}: {finding}")
    return batch


def _batch_id(instance_id: str, seq: int) -> str:
    """The same for the same events however often they come; it does not say which instance."""
    return sha256(f"{instance_id} {seq}".encode()).hexdigest()[:32]


class _Sessions:
    """The chains of one agent's sessions, while events are added to them."""

    def __init__(self, connection: Connection, agent: int) -> None:
        self._connection = connection
        self._agent = agent
        self._heads: dict[str, tuple[int, int, str]] = {}

    def link(self, event: UsageEvent, batch_id: str, item: int) -> tuple[int, Link]:
        """The event as the next link of its session, and the session's number."""
        session, seq, previous = self._heads.get(event.session) or self._head(event.session)
        link = link_of(event, seq + 1, previous, batch_id, item)
        self._heads[event.session] = (session, link.seq, link.hash)
        return session, link

    def write(self) -> None:
        """Keep where the chains end now."""
        self._connection.executemany(
            "UPDATE event_sessions SET seq = ?, hash = ? WHERE session = ?",
            [(seq, hashed, session) for session, seq, hashed in self._heads.values()],
        )

    def _head(self, name: str) -> tuple[int, int, str]:
        row = self._connection.execute(
            "SELECT session, seq, hash FROM event_sessions WHERE agent = ? AND name = ?",
            (self._agent, name),
        ).fetchone()
        if row is None:
            row = self._connection.execute(
                "INSERT INTO event_sessions (agent, name, seq, hash) VALUES (?, ?, 0, ?) "
                "RETURNING session, seq, hash",
                (self._agent, name, GENESIS),
            ).fetchone()
        return int(row[0]), int(row[1]), str(row[2])
