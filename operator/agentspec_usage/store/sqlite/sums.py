"""Sums over periods, from the kept ones; from items only where an edge lies within a bucket."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.periods import DAY_MS, LocalDay, Span, local_days, pieces_of
from agentspec_usage.store.queries import (
    AgentName,
    DaySum,
    UsageFilter,
    UsageSum,
    UsageSums,
)
from agentspec_usage.store.sqlite.charges import (
    BUCKET_COSTS,
    DAY_COSTS,
    money_of_sums,
    summed_count,
    summed_money,
)
from agentspec_usage.store.sqlite.rollups import BUCKETS, DAYS, summed

__all__ = ["Condition", "condition_of", "day_sums", "lines", "sums"]

Condition = tuple[str, list[object]]
"""SQL after WHERE, and its values."""

_DIMENSIONS = "agents.namespace, agents.name, series.model"

_KEPT = """
    SELECT {what}, {sums} FROM {table} AS kept
    JOIN agents USING (agent) JOIN series USING (series)
    WHERE kept.start >= ? AND kept.start < ? AND {condition} GROUP BY {what}"""

_OF_ITEMS = f"""
    SELECT {{what}}, {summed("items", "1")} FROM items
    JOIN instances USING (instance) JOIN agents USING (agent) JOIN series USING (series)
    WHERE items.at >= ? AND items.at < ? AND {{condition}} GROUP BY {{what}}"""


_KEPT_COSTS = f"""
    SELECT {{what}}, kept.currency, {summed_money("kept")},
    {summed_count("kept.priced")}, {summed_count("kept.estimated")}
    FROM {{table}} AS kept JOIN agents USING (agent) JOIN series USING (series)
    WHERE kept.start >= ? AND kept.start < ? AND {{condition}} GROUP BY {{what}}, kept.currency"""

_COSTS_OF_ITEMS = f"""
    SELECT {{what}}, charges.currency, {summed_money("charges")},
    {summed_count("CASE WHEN charges.partly THEN 0 ELSE items.calls END")},
    {summed_count("CASE WHEN charges.estimated THEN items.calls ELSE 0 END")}
    FROM items JOIN charges USING (item)
    JOIN instances USING (instance) JOIN agents USING (agent) JOIN series USING (series)
    WHERE items.at >= ? AND items.at < ? AND {{condition}} GROUP BY {{what}}, charges.currency"""


_KNOWN_DAYS = f"""
    WITH RECURSIVE known (start, until) AS (
        SELECT (SELECT min(start) FROM {DAYS} WHERE start >= ?1 AND start < ?2), ?2
        UNION ALL
        SELECT (SELECT min(start) FROM {DAYS} WHERE start > known.start AND start < until), until
        FROM known WHERE known.start IS NOT NULL)
    SELECT start FROM known"""
"""One step in the primary key for each day, however many rows a day has."""


def condition_of(asked: UsageFilter) -> Condition:
    """What ``asked`` says of agents and series; its span is not in it."""
    terms, values = ["TRUE"], list[object]()
    for column, value in (
        ("agents.namespace", asked.namespace),
        ("agents.agent_id", asked.agent_id),
        ("series.model", asked.model),
    ):
        if value:
            terms.append(f"{column} = ?")
            values.append(value)
    return " AND ".join(terms), values


def lines(
    connection: sqlite3.Connection, asked: UsageFilter
) -> dict[tuple[AgentName, str], UsageSum]:
    """The usage of the period by agent and model, of one moment."""
    found: dict[tuple[AgentName, str], UsageSum] = {}
    for (namespace, name, model), part in _rows(connection, _DIMENSIONS, asked):
        line = AgentName(namespace, name), model
        found[line] = found.get(line, UsageSum()) + part
    return found


def sums(connection: sqlite3.Connection, asked: UsageFilter) -> UsageSums:
    """The usage of the period, by agent and by model."""
    total = UsageSum()
    by_agent: dict[AgentName, UsageSum] = {}
    by_model: dict[str, UsageSum] = {}
    for (agent, model), found in lines(connection, asked).items():
        total += found
        by_agent[agent] = by_agent.get(agent, UsageSum()) + found
        by_model[model] = by_model.get(model, UsageSum()) + found
    return UsageSums(total, by_agent, by_model)


def day_sums(connection: sqlite3.Connection, asked: UsageFilter, zone: tzinfo) -> list[DaySum]:
    """The usage of each local day that has any."""
    known = _known_days(connection, asked.span)
    found = []
    for day in local_days(asked.span.meet(_around(known)), zone):
        if known.isdisjoint(range(day.span.start // DAY_MS, -(-day.span.end // DAY_MS))):
            continue
        total = UsageSum()
        for _, part in _rows(connection, "1", _within(asked, day)):
            total += part
        if total.items:
            found.append(DaySum(day, total))
    return found


def _within(asked: UsageFilter, day: LocalDay) -> UsageFilter:
    return UsageFilter(day.span, asked.namespace, asked.agent_id, asked.model)


def _known_days(connection: sqlite3.Connection, span: Span) -> set[int]:
    """The UTC days (since 1970) of which anything is kept: years of nothing cost nothing."""
    rows = connection.execute(_KNOWN_DAYS, (span.start - span.start % DAY_MS, span.end))
    return {start // DAY_MS for (start,) in rows if start is not None}


def _around(days: set[int]) -> Span:
    return Span(min(days) * DAY_MS, (max(days) + 1) * DAY_MS) if days else Span(0, 0)


def _rows(
    connection: sqlite3.Connection, what: str, asked: UsageFilter
) -> Iterator[tuple[Sequence[Any], UsageSum]]:
    """The parts of the sums that were asked for, by ``what``: counts first, then costs."""
    condition, values = condition_of(asked)
    pieces = pieces_of(asked.span)
    width = what.count(",") + 1
    for table, spans in ((BUCKETS, pieces.buckets), (DAYS, pieces.days), ("", pieces.calls)):
        template = _KEPT if table else _OF_ITEMS
        query = template.format(what=what, sums=summed("kept"), table=table, condition=condition)
        for span in spans:
            for row in connection.execute(query, (span.start, span.end, *values)):
                yield row[:width], UsageSum(TokenCounts(*row[width + 1 :]), row[width])
    costs = ((BUCKET_COSTS, pieces.buckets), (DAY_COSTS, pieces.days), ("", pieces.calls))
    for table, spans in costs:
        template = _KEPT_COSTS if table else _COSTS_OF_ITEMS
        query = template.format(what=what, table=table, condition=condition)
        for span in spans:
            for row in connection.execute(query, (span.start, span.end, *values)):
                currency, high, low, pico, priced, estimated = row[width:]
                money = money_of_sums(high, low, pico, currency)
                yield row[:width], UsageSum(costs=(money,), priced=priced, estimated=estimated)
