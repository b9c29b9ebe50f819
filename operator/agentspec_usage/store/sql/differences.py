"""What is kept beside the rows, compared with the rows: sums, costs, totals and watermarks.

None of it is hashed, because all of it can be computed again; so that is what is done.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentspec_usage.metering.counts import COMPONENTS
from agentspec_usage.metering.frame import BUCKET_MS
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dialect import Dialect
from agentspec_usage.store.sql.items import CALL_KINDS, SEQS
from agentspec_usage.store.sql.rollups import BUCKETS, DAYS
from agentspec_usage.store.sql.tail_differences import compared, first_tail_difference

__all__ = ["first_changed_sum", "first_difference"]

_EVER = Span(-(2**62), 2**62)

_LIMB = 31
_LOW = (1 << _LIMB) - 1

_CALLS = ", ".join(f"'{kind}'" for kind in CALL_KINDS)


def first_difference(connection: Connection, since: int = _EVER.start) -> tuple[str, str] | None:
    """Where something kept is not what the rows say, and what is wrong; None where all of it is.

    Sums of before ``since`` are not looked at: rows of then were dropped.
    """
    if found := first_changed_sum(connection, since):
        return found
    dialect = connection.dialect
    if found := _differing(connection, DAYS, BUCKETS, DAY_MS, f"{BUCKETS}.items", _EVER):
        return found
    for instance, table, wrong in connection.execute(_instances_that_differ(dialect)):
        return f"{table}: instance {instance}", wrong
    return first_tail_difference(connection)


def first_changed_sum(
    connection: Connection, since: int = _EVER.start, until: int = _EVER.end
) -> tuple[str, str] | None:
    """The first 15-minute sum from ``since`` to ``until`` that is not that of its rows."""
    is_call = f"CASE WHEN items.kind IN ({_CALLS}) THEN 1 ELSE 0 END"
    return _differing(connection, BUCKETS, "items", BUCKET_MS, is_call, Span(since, until))


def _differing(
    connection: Connection, table: str, source: str, grain: int, items: str, span: Span
) -> tuple[str, str] | None:
    dialect = connection.dialect
    time = "items.at" if source == "items" else f"{source}.start"
    summed = _summed(dialect, source, items)
    start = f"{time} - {time} % {grain}"
    query = _sums_that_differ(dialect, table, start, source, summed)
    values = (span.start, span.end) * 2
    for begins, account, series in connection.execute(query, values):
        where = f"{table}: start {begins}, account {account}, series {series}"
        return where, "it is not the sum of its rows"
    return None


_SUMS = tuple(f"sum{place}" for place in range(len(COMPONENTS) + 6))


def _sums_that_differ(
    dialect: Dialect, table: str, start: str, source: str, summed: Sequence[str]
) -> str:
    """The first key whose kept sum is not that of its rows, on either side; rows are read once."""
    kept = _summed(dialect, table, f"{table}.items")
    both = " UNION ALL ".join(
        f"SELECT {of} AS start, account, series, price, {_named(sums)} FROM {name} "
        f"WHERE {time} >= ? AND {time} < ? GROUP BY 1, 2, 3, 4"
        for of, name, time, sums in (
            (start, source, "at" if source == "items" else "start", summed),
            (f"{table}.start", table, "start", kept),
        )
    )
    return (
        f"SELECT start, account, series FROM ({both}) AS told "
        f"GROUP BY start, account, series, price, {', '.join(_SUMS)} HAVING count(*) <> 2 "
        "ORDER BY 1, 2, 3 LIMIT 1"
    )


def _named(sums: Sequence[str]) -> str:
    return ", ".join(f"{text} AS {name}" for text, name in zip(sums, _SUMS, strict=True))


def _summed(dialect: Dialect, alias: str, items: str) -> tuple[str, ...]:
    """The sums of all that a row and a kept sum have; money in limbs, with the carry in its place,
    because a plain sum fails beyond 2^63."""
    low = f"CAST(sum({alias}.milli & {_LOW}) AS BIGINT)"
    counts = (items, *(f"{alias}.{name}" for name in (*COMPONENTS, "priced", "estimated")))
    return (
        *(compared(dialect, dialect.summed_count(column)) for column in counts),
        f"sum({alias}.milli >> {_LIMB}) + ({low} >> {_LIMB})",
        f"{low} & {_LOW}",
        f"sum({alias}.pico)",
    )


def _instances_that_differ(dialect: Dialect) -> str:
    """The first instance whose totals or watermark do not fit its rows, and what does not."""
    sums = ", ".join(f"{dialect.summed_count(column)} AS {column}" for column in COMPONENTS)
    own, kept = (", ".join(f"{of}.{name}" for name in COMPONENTS) for of in ("own", "kept"))
    names = ", ".join(COMPONENTS)
    something = " OR ".join(f"kept.{name} > 0" for name in COMPONENTS)
    return f"""
    WITH own AS MATERIALIZED (
        SELECT instance, {dialect.summed_count("seqs")} AS seqs, {sums} FROM (
            SELECT instance, {SEQS} AS seqs, {names} FROM items
            WHERE kind IN ('record', 'aggregate', 'lost')
            UNION ALL SELECT instance, seqs, {names} FROM pruned_cells) AS told
        GROUP BY instance),
    kept AS (SELECT * FROM instance_totals WHERE path = 'applied')
    SELECT instance, told, wrong FROM (
        SELECT own.instance, 'instance_totals' AS told,
            'applied is not the sum of its rows' AS wrong
        FROM own LEFT JOIN kept USING (instance)
        WHERE kept.instance IS NULL OR ({own}) <> ({kept})
        UNION ALL SELECT kept.instance, 'instance_totals', 'applied has no rows'
        FROM kept LEFT JOIN own USING (instance) WHERE own.instance IS NULL AND ({something})
        UNION ALL SELECT own.instance, 'instances',
            'seq is below its rows'': they would be taken again'
        FROM own JOIN instances USING (instance) WHERE own.seqs > instances.seq
        UNION ALL SELECT instances.instance, 'instances',
            'seq is above its rows'': calls that never came would count as stored'
        FROM instances LEFT JOIN own USING (instance)
        WHERE instances.seq > coalesce(own.seqs, 0)
    ) AS differing ORDER BY told DESC, instance LIMIT 1"""
