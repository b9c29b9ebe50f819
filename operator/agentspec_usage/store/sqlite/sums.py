"""Sums over periods, from the kept ones; from items only where an edge lies within a bucket."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.periods import LocalDay, Span, local_days, pieces_of
from agentspec_usage.store.queries import (
    AgentName,
    DaySum,
    UsageFilter,
    UsageSum,
    UsageSums,
)
from agentspec_usage.store.sqlite.rollups import BUCKETS, DAYS, summed

__all__ = ["Condition", "condition_of", "day_sums", "sums"]

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


def sums(connection: sqlite3.Connection, asked: UsageFilter) -> UsageSums:
    """The usage of the period, by agent and by model."""
    total = UsageSum()
    by_agent: dict[AgentName, UsageSum] = {}
    by_model: dict[str, UsageSum] = {}
    for (namespace, name, model), found in _rows(connection, _DIMENSIONS, asked):
        agent = AgentName(namespace, name)
        total += found
        by_agent[agent] = by_agent.get(agent, UsageSum()) + found
        by_model[model] = by_model.get(model, UsageSum()) + found
    return UsageSums(total, by_agent, by_model)


def day_sums(connection: sqlite3.Connection, asked: UsageFilter, zone: tzinfo) -> list[DaySum]:
    """The usage of each local day that has any."""
    days = list(local_days(_known_span(connection, asked.span), zone))
    found = []
    for day in days:
        total = UsageSum()
        for _, part in _rows(connection, "1", _within(asked, day)):
            total += part
        if total.items:
            found.append(DaySum(day, total))
    return found


def _within(asked: UsageFilter, day: LocalDay) -> UsageFilter:
    return UsageFilter(day.span, asked.namespace, asked.agent_id, asked.model)


def _known_span(connection: sqlite3.Connection, span: Span) -> Span:
    """``span`` cut to the days of which anything is kept: a year of nothing costs nothing."""
    first, last = connection.execute(f"SELECT min(start), max(start) FROM {DAYS}").fetchone()
    if first is None:
        return Span(span.start, span.start)
    return span.meet(Span(first, last + 24 * 60 * 60 * 1000))


def _rows(
    connection: sqlite3.Connection, what: str, asked: UsageFilter
) -> Iterator[tuple[Sequence[Any], UsageSum]]:
    condition, values = condition_of(asked)
    pieces = pieces_of(asked.span)
    kept = ((BUCKETS, pieces.buckets), (DAYS, pieces.days))
    queries = [
        (_KEPT.format(what=what, sums=summed("kept"), table=table, condition=condition), spans)
        for table, spans in kept
    ]
    queries.append((_OF_ITEMS.format(what=what, condition=condition), pieces.calls))
    width = what.count(",") + 1
    for query, spans in queries:
        for span in spans:
            for row in connection.execute(query, (span.start, span.end, *values)):
                yield row[:width], UsageSum(TokenCounts(*row[width + 1 :]), row[width])
