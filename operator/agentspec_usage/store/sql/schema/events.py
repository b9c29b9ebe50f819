"""Usage events of senders that fire and forget, beside the items that they were charged as.

A link of a session's chain is a row of ``usage_events``, under the number of its item; the newest
link of each chain is in ``event_sessions``, so that one which was cut off shows. ``event_batches``
keeps what was told of each flush. All of them only grow.

``quarantined_events`` are events that no transaction took, as JSON in ASCII, which any database
can hold. They are not charged; the newest are kept.
"""

__all__ = ["EVENTS"]

EVENTS = """
CREATE TABLE event_sessions (
    session INTEGER PRIMARY KEY,
    agent INTEGER NOT NULL REFERENCES agents,
    name TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    UNIQUE (agent, name)
) STRICT;

CREATE TABLE event_batches (
    batch INTEGER PRIMARY KEY,
    batch_id TEXT NOT NULL UNIQUE,
    agent INTEGER NOT NULL REFERENCES agents,
    told TEXT NOT NULL
) STRICT;

CREATE TABLE usage_events (
    item INTEGER PRIMARY KEY REFERENCES items,
    session INTEGER NOT NULL REFERENCES event_sessions,
    batch INTEGER NOT NULL REFERENCES event_batches,
    link TEXT NOT NULL
) STRICT;

CREATE INDEX usage_events_of_batch ON usage_events (batch);

CREATE TABLE quarantined_events (
    quarantined INTEGER PRIMARY KEY,
    agent_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    event TEXT NOT NULL
) STRICT;
"""
