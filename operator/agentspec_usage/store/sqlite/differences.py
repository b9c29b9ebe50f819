"""What is kept beside the rows, compared with the rows: sums, costs, totals and watermarks.

None of it is hashed, because all of it can be computed again; so that is what is done.
"""

from __future__ import annotations

import sqlite3

from agentspec_usage.metering.counts import COMPONENTS
from agentspec_usage.metering.frame import BUCKET_MS
from agentspec_usage.metering.periods import DAY_MS
from agentspec_usage.store.sqlite.charges import (
    BUCKET_COSTS,
    DAY_COSTS,
    summed_count,
    summed_money,
)
from agentspec_usage.store.sqlite.rollups import BUCKETS, DAYS

__all__ = ["first_difference"]


def first_difference(connection: sqlite3.Connection) -> tuple[str, str] | None:
    """Where something kept is not what the rows say, and what is wrong; None where all of it is."""
    kept = (
        (BUCKETS, _sums_that_differ(BUCKETS, BUCKET_MS), "it is not the sum of its rows"),
        (DAYS, _sums_that_differ(DAYS, DAY_MS), "it is not the sum of its rows"),
        (BUCKET_COSTS, _costs_that_differ(BUCKET_COSTS, BUCKET_MS), _OF_CHARGES),
        (DAY_COSTS, _costs_that_differ(DAY_COSTS, DAY_MS), _OF_CHARGES),
    )
    for table, query, wrong in kept:
        for start, agent, series in connection.execute(query):
            return f"{table}: start {start}, agent {agent}, series {series}", wrong
    for query, table, wrong in (
        (_TOTALS_THAT_DIFFER, "instance_totals", "applied is not the sum of its rows"),
        (_TOTALS_OF_NO_ROW, "instance_totals", "applied has no rows"),
        (_WATERMARKS_TOO_LOW, "instances", "seq is below its rows': they would be taken again"),
    ):
        for (instance,) in connection.execute(query):
            return f"{table}: instance {instance}", wrong
    return None


_OF_CHARGES = "it is not the sum of its charges"


def _sums_that_differ(table: str, grain: int) -> str:
    """The first key whose kept sum is not that of its rows, on either side."""
    columns = ", ".join(COMPONENTS)
    summed = ", ".join(summed_count(column) for column in COMPONENTS)
    from_rows = (
        f"SELECT at - at % {grain} AS start, agent, series, count(*) AS items, {summed} "
        "FROM items JOIN instances USING (instance) GROUP BY 1, 2, 3"
    )
    kept = f"SELECT start, agent, series, items, {columns} FROM {table}"
    return (
        f"SELECT start, agent, series FROM (SELECT * FROM ({from_rows}) EXCEPT {kept}) "
        f"UNION ALL SELECT start, agent, series FROM ({kept} EXCEPT SELECT * FROM ({from_rows})) "
        "ORDER BY 1, 2, 3 LIMIT 1"
    )


def _costs_that_differ(table: str, grain: int) -> str:
    """The first key whose kept costs are not those of its charges, on either side."""
    from_rows = (
        f"SELECT items.at - items.at % {grain} AS start, agent, series, currency, "
        f"{summed_money('charges')}, "
        f"{summed_count('CASE WHEN partly THEN 0 ELSE calls END')}, "
        f"{summed_count('CASE WHEN estimated THEN calls ELSE 0 END')} "
        "FROM charges JOIN items USING (item) JOIN instances USING (instance) GROUP BY 1, 2, 3, 4"
    )
    kept = (
        f"SELECT start, agent, series, currency, {summed_money('kept')}, priced, estimated "
        f"FROM {table} AS kept GROUP BY 1, 2, 3, 4"
    )
    return (
        f"SELECT start, agent, series FROM (SELECT * FROM ({from_rows}) EXCEPT {kept}) "
        f"UNION ALL SELECT start, agent, series FROM ({kept} EXCEPT SELECT * FROM ({from_rows})) "
        "ORDER BY 1, 2, 3 LIMIT 1"
    )


_TOTALS_THAT_DIFFER = f"""
    SELECT instance FROM (
        SELECT instance, {", ".join(summed_count(column) for column in COMPONENTS)}
        FROM items GROUP BY instance
        EXCEPT
        SELECT instance, {", ".join(COMPONENTS)} FROM instance_totals WHERE path = 'applied')
    ORDER BY 1 LIMIT 1"""

_TOTALS_OF_NO_ROW = f"""
    SELECT instance FROM instance_totals
    WHERE path = 'applied' AND ({" OR ".join(f"{column} > 0" for column in COMPONENTS)})
    AND instance NOT IN (SELECT instance FROM items)
    ORDER BY 1 LIMIT 1"""

_WATERMARKS_TOO_LOW = """
    SELECT instance FROM instances JOIN items USING (instance)
    GROUP BY instance HAVING max(items.last_seq) > instances.seq
    ORDER BY 1 LIMIT 1"""
