"""Periods that were closed: what each was charged is written down once, and never changes.

``hash`` is over the whole row, and is what the batch that ``closes`` the period says.
"""

__all__ = ["PERIODS"]

PERIODS = """
CREATE TABLE periods (
    end_at INTEGER PRIMARY KEY,
    start_at INTEGER NOT NULL,
    name TEXT NOT NULL,
    zone TEXT NOT NULL,
    closed_at INTEGER NOT NULL,
    last_item INTEGER NOT NULL,
    statement TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
"""
