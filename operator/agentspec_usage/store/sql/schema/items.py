"""What is charged: one append-only table of entries, and what their numbers stand for.

An entry carries its counts and its money, so that what proves the one proves the other. ``record``,
``aggregate`` and ``lost`` are calls; ``estimate`` is usage that was reported and never delivered.
Nothing is ever updated: a ``reversal`` takes back another entry or a part of it, with counts and
money below zero, and a ``charge`` is an entry with its new price, whose old one a reversal took
back. So every sum is a plain sum of entries, also one by price or by currency.

An item is narrow and typed, because pricing and sums read all of them; ``item_details`` is what
only a search reads, and what can be erased on request while the counts stay. Price contexts, prices
and accounts are numbers: the same few are repeated a million times. ``prices`` keeps with each
number the prices themselves (``card``), so that a charge can be computed again, bit by bit,
whatever became of the catalogue.

``at`` is the time by which an item is summed up. ``claimed_at`` is another one where there is one:
of a ``correction`` when it was used, in a period that was closed; else what the item said itself,
of a clock that is not believed.

Items and sums have no foreign keys: each would be looked up for each row, and what they could tell
is told by the proof, which reads every row with what it refers to.

An instance is a process as one agent told of it. ``holds_seen`` says that what is seen of the
process is charged here: of one that is known under several names, under one of them (``names``).

No index is on the items' seqs: an instance's watermark (``seq``) alone keeps a call from being
stored twice. The instance's items cover every seq up to it, also where the calls are known only as
a sum or not at all (``lost``): so a watermark that was raised shows. The index on their times grows
at its end, as the table does.
"""

__all__ = ["COUNT_COLUMNS", "ITEMS"]

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

ITEMS = f"""
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
    holds_seen INTEGER NOT NULL DEFAULT 1 CHECK (holds_seen IN (0, 1)),
    hash TEXT NOT NULL,
    UNIQUE (agent, instance_id)
) STRICT;

CREATE INDEX instances_by_id ON instances (instance_id);

CREATE TABLE instance_totals (
    instance INTEGER NOT NULL REFERENCES instances,
    path TEXT NOT NULL CHECK (path IN ('applied', 'reported', 'estimated')),
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
    hash TEXT NOT NULL,
    UNIQUE (provider, model, operation, service_tier, region, batch, context_class)
) STRICT;

CREATE TABLE prices (
    price INTEGER PRIMARY KEY,
    catalogue TEXT NOT NULL,
    currency TEXT NOT NULL,
    reason TEXT NOT NULL,
    price_id TEXT NOT NULL,
    sku TEXT NOT NULL,
    above INTEGER NOT NULL,
    card TEXT NOT NULL,
    hash TEXT NOT NULL,
    UNIQUE (catalogue, price_id, sku, above, reason, hash)
) STRICT;

CREATE TABLE items (
    item INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    series INTEGER NOT NULL,
    price INTEGER NOT NULL,
    kind TEXT NOT NULL
        CHECK (kind IN ('record', 'aggregate', 'lost', 'estimate', 'reversal', 'charge')),
    corrects INTEGER,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    claimed_at INTEGER,
    received_at INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ok', 'aborted', 'unmetered')),
    coarse INTEGER NOT NULL CHECK (coarse IN (0, 1)),
    correction INTEGER NOT NULL CHECK (correction IN (0, 1)),
    requests TEXT,
{COUNT_COLUMNS},
    milli INTEGER NOT NULL,
    pico INTEGER NOT NULL,
    priced INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    salt BLOB NOT NULL,
    details BLOB,
    leaf BLOB NOT NULL
) STRICT;

CREATE INDEX items_by_time ON items (at);
CREATE INDEX items_that_correct ON items (corrects) WHERE corrects IS NOT NULL;
CREATE INDEX items_of_closed_periods ON items (at) WHERE correction = 1;
CREATE INDEX items_with_requests ON items (at) WHERE requests IS NOT NULL;
CREATE INDEX items_priced_anew ON items (at) WHERE kind = 'charge';

CREATE TABLE item_details (
    item INTEGER PRIMARY KEY,
    request_model TEXT,
    call_id TEXT,
    response_id TEXT,
    duration_ms INTEGER,
    ttft_ms INTEGER,
    user_id TEXT,
    session TEXT,
    run TEXT,
    parent_run TEXT,
    team TEXT,
    labels TEXT,
    raw TEXT,
    salt BLOB NOT NULL
) STRICT;
"""
