"""Reading all usage events again: is each chain whole, and does it fit to what was charged?

The chains alone would not show a link that was cut off at the end with its head, so each is held
against the journal: every event is an item with its counts, and every item of an instance that
brought events is an event. What the journal proves of items, it so proves of events.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentspec_usage.store.proof.event_chain import GENESIS, Link, read_link
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.event_batches import BATCHES, StoredBatch, finding_of

__all__ = ["first_wrong_event"]

_COUNTS = ("input", "output", "cache_read", "cache_write_unspecified", "reasoning")
_SAID = ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "reasoningTokens")

_EVENTS = f"""
    SELECT usage_events.session, usage_events.item, link,
    event_sessions.name, event_sessions.seq, event_sessions.hash,
    pruned_sessions.seq, pruned_sessions.hash, event_batches.batch_id,
    provider, model, {", ".join(f"items.{name}" for name in _COUNTS)}
    FROM usage_events
    LEFT JOIN event_sessions USING (session) LEFT JOIN event_batches USING (batch)
    LEFT JOIN pruned_sessions USING (session)
    LEFT JOIN items USING (item) LEFT JOIN series USING (series)
    ORDER BY usage_events.session, usage_events.item"""

_WITHOUT_EVENTS = """
    SELECT name FROM event_sessions LEFT JOIN pruned_sessions AS cut USING (session)
    WHERE session NOT IN (SELECT session FROM usage_events)
    AND (cut.hash IS NULL OR cut.seq <> event_sessions.seq OR cut.hash <> event_sessions.hash)
    ORDER BY session LIMIT 1"""
"""But for sessions that were dropped whole."""

_WITHOUT_EVENT = """
    SELECT items.item FROM items LEFT JOIN usage_events USING (item)
    WHERE items.kind = 'record' AND usage_events.item IS NULL AND items.instance IN
    (SELECT instance FROM items JOIN usage_events USING (item)) ORDER BY items.item LIMIT 1"""

Finding = tuple[str, str]
"""Where, and what."""


def first_wrong_event(connection: Connection) -> Finding | None:
    """The first event, session or batch that is not what it was; None when all are."""
    for found in (_chains(connection), _cut_off(connection), _batches(connection)):
        first = next(found, None)
        if first is not None:
            return first
    return None


def _chains(connection: Connection) -> Iterator[Finding]:
    """Every link follows the one before it, and its session's head is the last of them."""
    newest: Link | None = None
    ends: tuple[Any, ...] = ()
    of_session = None
    for session, item, text, name, seq, hashed, *rest in connection.stream(_EVENTS):
        cut_seq, cut_hash, batch_id, *charged = rest
        if session != of_session:
            yield from _end(newest, ends)
            newest, of_session = None, session
        ends = (name, seq, hashed)
        where = f"the event of row {item}"
        link = read_link(text)
        if link is None or (link.said["sessionId"], link.event["batchId"]) != (name, batch_id):
            yield where, "it is not what was accepted"
            return
        before = (newest.seq, newest.hash) if newest else (cut_seq or 0, cut_hash or GENESIS)
        if (link.seq - 1, link.said["_prevHash"]) != before:
            yield where, f"it does not follow event {before[0]} of its session as it is"
            return
        event = link.event
        said = [event["provider"], event["model"], *(event[part] for part in _SAID)]
        if event["item"] != item or said != charged:
            yield where, "it is not what was charged"
            return
        newest = link
    yield from _end(newest, ends)


def _end(newest: Link | None, ends: tuple[Any, ...]) -> Iterator[Finding]:
    if newest is not None and (newest.said["sessionId"], newest.seq, newest.hash) != ends:
        yield f"session {newest.said['sessionId']!r}", f"it does not end with event {newest.seq}"


def _cut_off(connection: Connection) -> Iterator[Finding]:
    """No session without events, and no item that an event brought without that event."""
    session = connection.execute(_WITHOUT_EVENTS).fetchone()
    if session is not None:
        yield f"session {session[0]!r}", "its events are missing"
    item = connection.execute(_WITHOUT_EVENT).fetchone()
    if item is not None:
        yield f"the event of row {item[0]}", "it is missing"


def _batches(connection: Connection) -> Iterator[Finding]:
    """Every batch is what its rows make."""
    for row in connection.stream(f"{BATCHES} ORDER BY batch"):
        stored = StoredBatch(*row)
        if finding := finding_of(connection, stored):
            yield f"batch {stored.batch_id}", finding
