"""What was used and is not delivered: how far each instance had counted, and by when.

``instance_cells`` is what is charged of each series of an instance, calls and standing estimates
together: it is the sum of the instance's entries. The other tables have rows only while there is a
tail. ``tails`` is the furthest level that was seen, ``tail_marks`` the level at the end of each
15-minute bucket in which it rose; in both, series 0 is the totals. So an agent that delivers its
calls leaves next to nothing here, and one that is only looked at as much as its sums take.

``source_windows`` are the windows of sources without instance ids (``metering.window_levels``).

Agents are asked for by the hundred and named, so their sums need a way in by account.
"""

from agentspec_usage.store.sql.schema.items import COUNT_COLUMNS

__all__ = ["TAIL"]

TAIL = f"""
CREATE TABLE instance_cells (
    instance INTEGER NOT NULL REFERENCES instances,
    series INTEGER NOT NULL REFERENCES series,
{COUNT_COLUMNS},
    PRIMARY KEY (instance, series)
) STRICT, WITHOUT ROWID;

CREATE TABLE tails (
    instance INTEGER NOT NULL REFERENCES instances,
    agent INTEGER NOT NULL REFERENCES agents,
    series INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
{COUNT_COLUMNS},
    PRIMARY KEY (instance, series)
) STRICT, WITHOUT ROWID;

CREATE INDEX tails_of_agent ON tails (agent);

CREATE TABLE tail_marks (
    instance INTEGER NOT NULL REFERENCES instances,
    series INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
{COUNT_COLUMNS},
    PRIMARY KEY (instance, series, bucket)
) STRICT, WITHOUT ROWID;

CREATE INDEX tail_marks_by_time ON tail_marks (bucket) WHERE series = 0;

CREATE TABLE source_windows (
    instance INTEGER PRIMARY KEY REFERENCES instances,
    windows TEXT NOT NULL
) STRICT;

CREATE INDEX estimates_of_instance ON items (instance) WHERE kind = 'estimate';
"""
