"""What is kept of tails, compared with the entries: estimates that stand, and what is charged."""

from __future__ import annotations

from agentspec_usage.metering.counts import COMPONENTS, MAX_COUNT
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dialect import Dialect

__all__ = ["compared", "first_tail_difference"]

_COUNTS = ", ".join(COMPONENTS)

_LARGEST = (MAX_COUNT + 1) // 2

_OF_ESTIMATES = "kind = 'estimate' OR corrects IN (SELECT item FROM items WHERE kind = 'estimate')"

_NONE = " AND ".join(f"{name} = 0" for name in COMPONENTS)

_BEYOND = " OR ".join(
    f"coalesce(reported.{name}, 0) > coalesce(applied.{name}, 0)" for name in COMPONENTS
)


_SEEN_TWICE = f"""
    SELECT instances.instance FROM instances
    LEFT JOIN instance_totals AS reported
    ON reported.instance = instances.instance AND reported.path = 'reported'
    LEFT JOIN instance_totals AS applied
    ON applied.instance = instances.instance AND applied.path = 'applied'
    WHERE holds_seen = 0 AND (
        EXISTS (SELECT 1 FROM tails WHERE tails.instance = instances.instance)
        OR EXISTS (SELECT 1 FROM instance_totals AS estimated
            WHERE estimated.instance = instances.instance AND estimated.path = 'estimated'
            AND NOT ({_NONE}))
        OR {_BEYOND})
    ORDER BY 1 LIMIT 1"""
"""A process that another agent took over has its own deliveries here, and nothing beside them."""


def first_tail_difference(connection: Connection) -> tuple[str, str] | None:
    """Where something kept is not what the rows say, and what is wrong; None where all of it is."""
    dialect = connection.dialect
    for query, wrong in (
        (_estimates_that_differ(dialect), "estimated is not the sum of its estimates"),
        (_estimates_of_no_row(), "estimated has no rows"),
    ):
        for (instance,) in connection.execute(query):
            return f"instance_totals: instance {instance}", wrong
    for instance, series in connection.execute(_cells_that_differ(dialect)):
        where = f"instance_cells: instance {instance}, series {series}"
        return where, "it is not the sum of its rows"
    for (instance,) in connection.execute(_SEEN_TWICE):
        return f"instances: instance {instance}", "what is seen of it is another agent's"
    return None


def compared(dialect: Dialect, count: str) -> str:
    """``count`` as it is compared with another sum of the same numbers.

    A sum that reached the largest count and fell again when an estimate was taken back from it has
    lost what was beyond, and is another one in another order; it is above this all the same. So
    what one agent claims cannot make it look as if rows were changed.
    """
    return dialect.greatest(dialect.least(count, str(_LARGEST)), str(-_LARGEST))


def _sums(dialect: Dialect) -> str:
    return ", ".join(compared(dialect, dialect.summed_count(name)) for name in COMPONENTS)


def _estimates_that_differ(dialect: Dialect) -> str:
    kept = ", ".join(compared(dialect, name) for name in COMPONENTS)
    return (
        f"SELECT instance FROM (SELECT instance, {_sums(dialect)} FROM items "
        f"WHERE {_OF_ESTIMATES} GROUP BY instance EXCEPT "
        f"SELECT instance, {kept} FROM instance_totals WHERE path = 'estimated') AS differing "
        "ORDER BY 1 LIMIT 1"
    )


def _estimates_of_no_row() -> str:
    return (
        f"SELECT instance FROM instance_totals WHERE path = 'estimated' AND NOT ({_NONE}) "
        "AND instance NOT IN (SELECT instance FROM items WHERE kind = 'estimate') "
        "ORDER BY 1 LIMIT 1"
    )


def _cells_that_differ(dialect: Dialect) -> str:
    """On either side; a cell that was taken back whole stands at nothing."""
    of_rows = (
        f"SELECT instance, series, {_sums(dialect)} FROM ("
        f"SELECT instance, series, {_COUNTS} FROM items "
        f"UNION ALL SELECT instance, series, {_COUNTS} FROM pruned_cells) AS told "
        "GROUP BY instance, series"
    )
    cells = ", ".join(compared(dialect, name) for name in COMPONENTS)
    kept = f"SELECT instance, series, {cells} FROM instance_cells"
    # Kept, because rows are added up for it: twice would be twice the time.
    return (
        f"WITH own AS MATERIALIZED ({of_rows}) SELECT instance, series FROM ("
        f"SELECT * FROM (SELECT * FROM own EXCEPT {kept}) AS b "
        f"UNION ALL SELECT * FROM ({kept} EXCEPT SELECT * FROM own) AS d"
        ") AS differing ORDER BY 1, 2 LIMIT 1"
    )
