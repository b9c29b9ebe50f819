"""The tables, as the steps that made them.

A database remembers in ``user_version`` how many steps it has taken; a blank one takes all of them,
an old one the rest, and both arrive at the same tables. A step never changes once it was released.

What is one thing is one table: who may report (``agents``, ``api_keys``), who is alive
(``heartbeats``), where each instance stands (``instances``, ``instance_totals``), and what is
charged (``items``). An item is narrow and typed, because pricing and sums read all of them;
``item_details`` is what only a search reads, and what can be erased on request while the counts
stay. A price context is a number (``series``): the same few are repeated a million times.

No index is on the items' seqs: an instance's watermark alone keeps a call from being stored twice.
The one on their times grows at its end, as the table does. Sums by 15 minutes and by day are kept
beside (``bucket_sums``, ``day_sums``), so that a month is not added up from its calls.

What items cost is in ``charges``, by which prices in ``catalogues``, and what has no price in
``unpriced``; ``bucket_costs`` and ``day_costs`` are its sums.

What proves that items were not changed since is in ``batches`` (the chain), ``checkpoints`` (its
signed heads), and in each item's ``leaf``, which says which row it is that was changed.
"""

from __future__ import annotations

__all__ = ["APPLICATION_ID", "COUNT_COLUMNS", "MIGRATIONS", "VERSION"]

APPLICATION_ID = 0x61677573
""""agus": how ``file`` and this program tell the database from others."""

COUNT_COLUMNS = """\
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_30m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    cache_write_12h INTEGER NOT NULL,
    cache_write_unspecified INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    audio_in INTEGER NOT NULL,
    audio_out INTEGER NOT NULL,
    image_in INTEGER NOT NULL,
    image_out INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    unmetered_calls INTEGER NOT NULL"""

_AGENTS = """
CREATE TABLE agents (
    agent INTEGER PRIMARY KEY,
    agent_id TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    runtime TEXT NOT NULL,
    manifest TEXT,
    registered_at INTEGER NOT NULL,
    revoked_at INTEGER,
    UNIQUE (name, namespace)
) STRICT;

CREATE TABLE api_keys (
    key_id TEXT PRIMARY KEY,
    agent INTEGER NOT NULL REFERENCES agents,
    digest BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_of_agent ON api_keys (agent);

CREATE TABLE heartbeats (
    agent INTEGER NOT NULL REFERENCES agents,
    instance_id TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    phase TEXT NOT NULL,
    score INTEGER,
    health TEXT NOT NULL,
    gap TEXT NOT NULL,
    proof TEXT,
    usage TEXT,
    PRIMARY KEY (agent, instance_id)
) STRICT;
"""

_FRAMES = f"""
CREATE TABLE instances (
    instance INTEGER PRIMARY KEY,
    agent INTEGER NOT NULL REFERENCES agents,
    instance_id TEXT NOT NULL,
    observer TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_frame_at INTEGER,
    seq INTEGER NOT NULL DEFAULT 0,
    final INTEGER NOT NULL DEFAULT 0 CHECK (final IN (0, 1)),
    newest_since INTEGER,
    newest_last INTEGER,
    newest_digest TEXT,
    conflicts INTEGER NOT NULL DEFAULT 0,
    rolled_back_at INTEGER,
    UNIQUE (agent, instance_id)
) STRICT;

CREATE TABLE instance_totals (
    instance INTEGER NOT NULL REFERENCES instances,
    path TEXT NOT NULL CHECK (path IN ('applied', 'reported')),
{COUNT_COLUMNS},
    PRIMARY KEY (instance, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE series (
    series INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    operation TEXT NOT NULL,
    service_tier TEXT NOT NULL,
    region TEXT NOT NULL,
    batch INTEGER NOT NULL CHECK (batch IN (0, 1)),
    context_class INTEGER NOT NULL,
    UNIQUE (provider, model, operation, service_tier, region, batch, context_class)
) STRICT;

CREATE TABLE items (
    item INTEGER PRIMARY KEY,
    instance INTEGER NOT NULL REFERENCES instances,
    kind TEXT NOT NULL CHECK (kind IN ('record', 'aggregate', 'lost')),
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    claimed_at INTEGER,
    received_at INTEGER NOT NULL,
    series INTEGER NOT NULL REFERENCES series,
    status TEXT NOT NULL CHECK (status IN ('ok', 'aborted', 'unmetered')),
    coarse INTEGER NOT NULL CHECK (coarse IN (0, 1)),
    requests TEXT,
{COUNT_COLUMNS}
) STRICT;

CREATE TABLE item_details (
    item INTEGER PRIMARY KEY REFERENCES items,
    request_model TEXT,
    call_id TEXT,
    response_id TEXT,
    duration_ms INTEGER,
    ttft_ms INTEGER,
    user TEXT,
    session TEXT,
    run TEXT,
    parent_run TEXT,
    team TEXT,
    labels TEXT,
    raw TEXT
) STRICT;
"""

_DAY = 24 * 60 * 60 * 1000
_BUCKET = 15 * 60 * 1000


def _sums(table: str, grain: int) -> str:
    """A table of sums, filled from the items that are there already."""
    names = [line.split()[0] for line in COUNT_COLUMNS.splitlines()]
    totals = ", ".join(f"CAST(min(total({name}), 9007199254740991.0) AS INTEGER)" for name in names)
    return f"""
CREATE TABLE {table} (
    start INTEGER NOT NULL,
    agent INTEGER NOT NULL REFERENCES agents,
    series INTEGER NOT NULL REFERENCES series,
    items INTEGER NOT NULL,
{COUNT_COLUMNS},
    PRIMARY KEY (start, agent, series)
) STRICT, WITHOUT ROWID;

INSERT INTO {table}
SELECT at - at % {grain} AS start, agent, series, count(*), {totals}
FROM items JOIN instances USING (instance)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
"""


_SUMS = f"""
CREATE INDEX items_by_time ON items (at);
{_sums("bucket_sums", _BUCKET)}
{_sums("day_sums", _DAY)}
"""

_JOURNAL = """
ALTER TABLE items ADD COLUMN salt BLOB;
ALTER TABLE items ADD COLUMN details BLOB;
ALTER TABLE items ADD COLUMN leaf BLOB;
ALTER TABLE item_details ADD COLUMN salt BLOB;

CREATE TABLE ledger (
    ledger INTEGER PRIMARY KEY CHECK (ledger = 1),
    id TEXT NOT NULL,
    first_item INTEGER NOT NULL
) STRICT;

INSERT INTO ledger SELECT 1, lower(hex(randomblob(16))), coalesce(max(item), 0) + 1 FROM items;

CREATE TABLE batches (
    batch INTEGER PRIMARY KEY,
    previous BLOB NOT NULL,
    first_item INTEGER NOT NULL,
    last_item INTEGER NOT NULL,
    root BLOB NOT NULL,
    at INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;

CREATE TABLE checkpoints (
    batch INTEGER PRIMARY KEY REFERENCES batches,
    at INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    signature BLOB NOT NULL
) STRICT;
"""


def _costs(table: str) -> str:
    return f"""
CREATE TABLE {table} (
    start INTEGER NOT NULL,
    agent INTEGER NOT NULL REFERENCES agents,
    series INTEGER NOT NULL REFERENCES series,
    currency TEXT NOT NULL,
    milli INTEGER NOT NULL,
    pico INTEGER NOT NULL,
    priced INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    PRIMARY KEY (start, agent, series, currency)
) STRICT, WITHOUT ROWID;
"""


_CHARGES = f"""
CREATE TABLE catalogues (
    catalogue INTEGER PRIMARY KEY,
    version TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE charges (
    item INTEGER NOT NULL REFERENCES items,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('charge', 'reversal')),
    catalogue INTEGER NOT NULL REFERENCES catalogues,
    currency TEXT NOT NULL,
    milli INTEGER NOT NULL,
    pico INTEGER NOT NULL,
    estimated INTEGER NOT NULL CHECK (estimated IN (0, 1)),
    partly INTEGER NOT NULL CHECK (partly IN (0, 1)),
    at INTEGER NOT NULL,
    PRIMARY KEY (item, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE unpriced (
    item INTEGER PRIMARY KEY REFERENCES items,
    catalogue INTEGER NOT NULL REFERENCES catalogues,
    reason TEXT NOT NULL
) STRICT;
{_costs("bucket_costs")}
{_costs("day_costs")}
"""

MIGRATIONS: tuple[str, ...] = (_AGENTS, _FRAMES, _SUMS, _JOURNAL, _CHARGES)
"""Step n leads from version n to n + 1."""

VERSION = len(MIGRATIONS)
