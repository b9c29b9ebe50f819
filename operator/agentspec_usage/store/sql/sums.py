"""Sums over periods, from the kept ones; from items only where an edge lies within a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any

from agentspec_usage.metering.counts import COMPONENTS, TokenCounts
from agentspec_usage.metering.periods import DAY_MS, LocalDay, Span, local_days, pieces_of
from agentspec_usage.store.queries import (
    AgentName,
    DaySum,
    UsageFilter,
    UsageSum,
    UsageSums,
)
from agentspec_usage.store.sql.charging import money_of_sums
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.items import CALL_KINDS
from agentspec_usage.store.sql.rollups import BUCKETS, DAYS, summed

__all__ = ["IS_CALL", "Condition", "condition_of", "day_sums", "lines", "sum_rows", "sums"]

Condition = tuple[str, list[object]]
"""SQL after WHERE, and its values."""

_DIMENSIONS = "agents.namespace, agents.name, series.model"

_KEPT = """
    SELECT {what}, prices.currency, {sums} FROM {table} AS kept
    JOIN accounts USING (account) JOIN agents USING (agent)
    JOIN series USING (series) JOIN prices USING (price)
    WHERE kept.{time} >= ? AND kept.{time} < ? AND {condition} GROUP BY {what}, prices.currency"""

IS_CALL = f"""CASE WHEN kept.kind IN ({", ".join(f"'{kind}'" for kind in CALL_KINDS)})
    THEN 1 ELSE 0 END"""

_KNOWN_DAYS = f"""
    WITH RECURSIVE known (start) AS (
        SELECT (SELECT min(start) FROM {DAYS} WHERE start >= ? AND start < ?)
        UNION ALL
        SELECT (SELECT min(kept.start) FROM {DAYS} AS kept
            WHERE kept.start > known.start AND kept.start < ?)
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


def lines(connection: Connection, asked: UsageFilter) -> dict[tuple[AgentName, str], UsageSum]:
    """The usage of the period by agent and model, of one moment."""
    found: dict[tuple[AgentName, str], UsageSum] = {}
    for (namespace, name, model), part in sum_rows(connection, _DIMENSIONS, asked):
        line = AgentName(namespace, name), model
        found[line] = found.get(line, UsageSum()) + part
    return found


def sums(connection: Connection, asked: UsageFilter) -> UsageSums:
    """The usage of the period, by agent and by model."""
    total = UsageSum()
    by_agent: dict[AgentName, UsageSum] = {}
    by_model: dict[str, UsageSum] = {}
    for (agent, model), found in lines(connection, asked).items():
        total += found
        by_agent[agent] = by_agent.get(agent, UsageSum()) + found
        by_model[model] = by_model.get(model, UsageSum()) + found
    return UsageSums(total, by_agent, by_model)


def day_sums(connection: Connection, asked: UsageFilter, zone: tzinfo) -> list[DaySum]:
    """The usage of each local day that has any."""
    known = _known_days(connection, asked.span)
    found = []
    for day in local_days(asked.span.meet(_around(known)), zone):
        if known.isdisjoint(range(day.span.start // DAY_MS, -(-day.span.end // DAY_MS))):
            continue
        total = UsageSum()
        for _, part in sum_rows(connection, "1", _within(asked, day)):
            total += part
        if total.items or any(total.counts.as_tuple()) or any(cost.pico for cost in total.costs):
            # A day may have corrections alone, and they are billed.
            found.append(DaySum(day, total))
    return found


def _within(asked: UsageFilter, day: LocalDay) -> UsageFilter:
    return UsageFilter(day.span, asked.namespace, asked.agent_id, asked.model)


def _known_days(connection: Connection, span: Span) -> set[int]:
    """The UTC days (since 1970) of which anything is kept: years of nothing cost nothing."""
    rows = connection.execute(_KNOWN_DAYS, (span.start - span.start % DAY_MS, span.end, span.end))
    return {start // DAY_MS for (start,) in rows if start is not None}


def _around(days: set[int]) -> Span:
    return Span(min(days) * DAY_MS, (max(days) + 1) * DAY_MS) if days else Span(0, 0)


def sum_rows(
    connection: Connection, what: str, asked: UsageFilter
) -> Iterator[tuple[Sequence[Any], UsageSum]]:
    """The parts of the sums that were asked for, by ``what``."""
    condition, values = condition_of(asked)
    pieces = pieces_of(asked.span)
    width = what.count(",") + 1
    dialect = connection.dialect
    kept, single = summed(dialect, "kept"), summed(dialect, "kept", items=IS_CALL)
    for table, time, sums, spans in (
        (BUCKETS, "start", kept, pieces.buckets),
        (DAYS, "start", kept, pieces.days),
        ("items", "at", single, pieces.calls),
    ):
        query = _KEPT.format(what=what, sums=sums, table=table, time=time, condition=condition)
        for span in spans:
            for row in connection.execute(query, (span.start, span.end, *values)):
                currency, items, *numbers = row[width:]
                counts, money = numbers[: len(COMPONENTS)], numbers[len(COMPONENTS) :]
                cost = (money_of_sums(money[0], money[1], money[2], currency),) if currency else ()
                yield row[:width], UsageSum(TokenCounts(*counts), items, cost, *money[3:])
