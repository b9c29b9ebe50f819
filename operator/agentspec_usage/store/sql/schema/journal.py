"""What proves that items and closed periods were not changed since: the chain of batches, and its
signed heads.

A batch has the items from ``first_item`` to ``last_item``; or it ``closes`` a period, whose hash
that is, and has none: its last item is then the one before its first.

Each item's ``leaf`` is beside it, which says which row it is that was changed.
"""

__all__ = ["JOURNAL"]

JOURNAL = """
CREATE TABLE ledger (
    ledger INTEGER PRIMARY KEY CHECK (ledger = 1),
    id TEXT NOT NULL,
    first_item INTEGER NOT NULL
) STRICT;

CREATE TABLE batches (
    batch INTEGER PRIMARY KEY,
    previous BLOB NOT NULL,
    first_item INTEGER NOT NULL,
    last_item INTEGER NOT NULL,
    root BLOB NOT NULL,
    at INTEGER NOT NULL,
    closes TEXT,
    hash BLOB NOT NULL
) STRICT;

CREATE TABLE checkpoints (
    batch INTEGER PRIMARY KEY REFERENCES batches,
    at INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    signature BLOB NOT NULL
) STRICT;
"""
