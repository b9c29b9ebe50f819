"""The provisional tail: what was used in a period and is in no charge yet, priced as it stands.

It is computed from levels and never stored, so asking changes nothing, and what is delivered a
moment later is counted once. What was seen in a closed period and is uncharged yet (a pod that was
told of late) will be charged as a correction at the beginning of the open one, so that is where it
shows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.level import Level
from agentspec_usage.metering.periods import Span
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.tail import stretch
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.pricing.charge import NO_REQUESTS, Charge, price
from agentspec_usage.store.queries import AgentName, UsageSum
from agentspec_usage.store.sql.charging import LARGEST_CHARGE
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.items import LOST, closed_until
from agentspec_usage.store.sql.levels import (
    charged_levels,
    levels_before,
    one_of,
    seen_levels,
)
from agentspec_usage.store.sql.tail import series_keys

__all__ = ["TailLine", "provisional_sum", "tail_lines", "tails_in"]

_CHUNK = 500

_REST = -1
"""Stands for usage whose series is not known; no series has this number."""


_NOTHING: Level[int] = Level()


@dataclass(frozen=True, slots=True)
class TailLine:
    """What an agent used of one series in the period, and what that costs by the prices of now.

    ``cost_center`` is the agent's of now; a tail has no team, since no record says one.
    """

    agent: AgentName
    cost_center: str
    key: SeriesKey
    sum: UsageSum


def tail_lines(
    connection: Connection, span: Span, book: PriceBook, now: int, namespace: str = ""
) -> list[TailLine]:
    """The provisional tail of the period ``span``, by agent and series."""
    (found,) = tails_in(connection, [span])
    if not found:
        return []
    numbers = sorted({agent for agent, _ in found})
    owners = {}
    for start in range(0, len(numbers), _CHUNK):
        some = numbers[start : start + _CHUNK]
        rows = connection.execute(
            f"SELECT agent, namespace, name, cost_center FROM agents WHERE agent {one_of(some)}",
            some,
        )
        owners.update({agent: (AgentName(*name), center) for agent, *name, center in rows})
    at = min(now, span.end - 1)
    return [
        TailLine(owner, cost_center, key, provisional_sum(counts, key, at, book))
        for (agent, key), counts in found.items()
        for owner, cost_center in (owners[agent],)
        if namespace in ("", owner.namespace)
    ]


def tails_in(
    connection: Connection, spans: Sequence[Span], agents: Collection[int] | None = None
) -> list[dict[tuple[int, SeriesKey], TokenCounts]]:
    """For each period, the uncharged usage by agent and series; of all agents without ``agents``.

    Periods begin and end with a bucket.
    """
    closed = closed_until(connection)
    found: list[dict[tuple[int, int], TokenCounts]] = [{} for _ in spans]
    for owners in _chunks(connection, agents):
        charged = charged_levels(connection, owners)
        newest = seen_levels(connection, owners)
        for span, sums in zip(spans, found, strict=True):
            if span.end <= closed:
                continue
            late = span.start <= closed
            starts = {} if late else _seen_before(connection, newest, span.start)
            ends = _seen_before(connection, newest, span.end)
            for instance, agent in owners.items():
                earlier = starts.get(instance, _NOTHING)
                later = ends.get(instance, _NOTHING)
                for series, counts in stretch(earlier, later, charged[instance], _REST).items():
                    key = agent, series
                    sums[key] = sums.get(key, ZERO) + counts
    numbers = {series for sums in found for _, series in sums if series != _REST}
    keys = {number: key for number, (_, key) in series_keys(connection, numbers).items()}
    keys[_REST] = LOST
    return [
        {(agent, keys[series]): counts for (agent, series), counts in sums.items()}
        for sums in found
    ]


def _seen_before(
    connection: Connection, newest: Mapping[int, tuple[int, Level[int]]], until: int
) -> dict[int, Level[int]]:
    """How far each instance was seen to have counted before ``until`` (ms); the marks are read of
    those alone that were seen since."""
    levels = {instance: level for instance, (bucket, level) in newest.items() if bucket < until}
    later = newest.keys() - levels.keys()
    return {**levels, **levels_before(connection, later, until)} if later else levels


def provisional_sum(counts: TokenCounts, key: SeriesKey, at: int, book: PriceBook) -> UsageSum:
    """``counts`` of a series, priced at ``at`` (ms): an estimate, and no item."""
    made = price(counts, NO_REQUESTS, key, at, book)
    if not isinstance(made, Charge) or made.amount.pico > LARGEST_CHARGE.pico:
        return UsageSum(counts)
    whole = 0 if made.unpriced else counts.calls
    return UsageSum(counts, 0, (made.amount,), whole, counts.calls)


def _chunks(connection: Connection, agents: Collection[int] | None) -> Iterator[dict[int, int]]:
    """The instances with a tail, with their agents."""
    if agents is None:
        query, values = "SELECT DISTINCT instance, agent FROM tails", tuple[int, ...]()
    else:
        query = f"SELECT DISTINCT instance, agent FROM tails WHERE agent {one_of(agents)}"
        values = (*agents,)
    found = sorted(connection.execute(query, values).fetchall())
    for start in range(0, len(found), _CHUNK):
        yield dict(found[start : start + _CHUNK])
