"""Sums kept beside the items, so that a month is not added up from its calls.

By time first: new rows are at the end of the table. The index by account is what keeps one agent's
own question from reading everybody's rows; a row is in it once, however often it grows.
"""

from agentspec_usage.store.sql.schema.items import COUNT_COLUMNS

__all__ = ["SUMS"]


def _sums(table: str) -> str:
    return f"""
CREATE TABLE {table} (
    start INTEGER NOT NULL,
    account INTEGER NOT NULL,
    series INTEGER NOT NULL,
    price INTEGER NOT NULL,
    items INTEGER NOT NULL,
{COUNT_COLUMNS},
    milli INTEGER NOT NULL,
    pico INTEGER NOT NULL,
    priced INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    PRIMARY KEY (start, account, series, price)
) STRICT, WITHOUT ROWID;

CREATE INDEX {table}_of_account ON {table} (account, start);
"""


SUMS = _sums("bucket_sums") + _sums("day_sums")
