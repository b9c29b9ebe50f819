"""What stays of rows that were dropped by policy: enough to prove everything that is left.

``pruned`` says how far the journal was dropped, and seals what is left of it. ``pruned_cells`` are
the sums of the dropped rows by instance and series, and how many seqs they cover: what is kept of
an instance is these and its rows. ``pruned_sessions`` is the last dropped link of each session of
usage events, which the next link follows.
"""

from agentspec_usage.store.sql.schema.items import COUNT_COLUMNS

__all__ = ["RETENTION"]

RETENTION = f"""
CREATE TABLE pruned (
    pruned INTEGER PRIMARY KEY CHECK (pruned = 1),
    batch INTEGER NOT NULL REFERENCES batches,
    until INTEGER NOT NULL,
    kept BLOB NOT NULL,
    totals BLOB NOT NULL,
    sums BLOB NOT NULL,
    at INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    signature BLOB NOT NULL
) STRICT;

CREATE TABLE pruned_cells (
    instance INTEGER NOT NULL REFERENCES instances,
    series INTEGER NOT NULL REFERENCES series,
    seqs INTEGER NOT NULL,
{COUNT_COLUMNS},
    PRIMARY KEY (instance, series)
) STRICT, WITHOUT ROWID;

CREATE TABLE pruned_sessions (
    session INTEGER PRIMARY KEY REFERENCES event_sessions,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
"""
