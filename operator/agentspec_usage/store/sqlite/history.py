"""The stored calls, newest first, a page at a time.

The kept sums know how many items each bucket has of an agent and a model. So a page is found by
walking the buckets backwards and reading items only where the page lies, and the total is counted
from sums; only edges within a bucket, and a search by user, count items themselves.

Items of one time are ordered by their number, so that no page shows one twice or leaves one out; a
page that goes on from a position is not moved by what was stored meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from agentspec_usage.metering.counts import COMPONENTS, TokenCounts
from agentspec_usage.metering.frame import BUCKET_MS, bucket_of
from agentspec_usage.metering.periods import Span, pieces_of
from agentspec_usage.pricing.money import Money
from agentspec_usage.store.queries import AgentName, Position, StoredCall, StoredCalls, UsageFilter
from agentspec_usage.store.sqlite.charges import money_of
from agentspec_usage.store.sqlite.rollups import BUCKETS
from agentspec_usage.store.sqlite.sums import condition_of

__all__ = ["calls"]

_FROM = """
    FROM items JOIN instances USING (instance) JOIN agents USING (agent) JOIN series USING (series)
    LEFT JOIN item_details USING (item)
    WHERE items.at >= ? AND items.at < ? AND {condition}"""

_COUNT = f"SELECT count(*) {_FROM}"

_ATTRIBUTES = (
    *("items.at", "items.item", "agents.namespace", "agents.name"),
    *("series.provider", "series.model", "item_details.request_model"),
    *("series.operation", "series.service_tier", "series.region", "items.status"),
    *("item_details.user", "item_details.session", "item_details.run", "item_details.team"),
    *("item_details.duration_ms", "item_details.call_id", "item_details.response_id"),
)
_PAGE = f"""
    SELECT {", ".join((*_ATTRIBUTES, *(f"items.{name}" for name in COMPONENTS)))} {_FROM}
    AND (items.at, items.item) < (?, ?)
    ORDER BY items.at DESC, items.item DESC LIMIT ? OFFSET ?"""

_BUCKETS = f"""
    SELECT kept.start, sum(kept.items) FROM {BUCKETS} AS kept
    JOIN agents USING (agent) JOIN series USING (series)
    WHERE kept.start >= ? AND kept.start < ? AND {{condition}}
    GROUP BY kept.start ORDER BY kept.start DESC"""

_LAST = Position(2**62, 2**62)


def calls(
    connection: sqlite3.Connection,
    asked: UsageFilter,
    limit: int,
    offset: int,
    after: Position | None,
) -> StoredCalls:
    """The page, and the number of items on all pages; in a transaction they are of one moment."""
    counted = list(_counted(connection, asked))
    page: list[StoredCall] = []
    for span, items in counted:
        if after is not None and span.start > after.at:
            continue
        if after is None and offset >= items:
            offset -= items
            continue
        page += _page(connection, asked, span, limit - len(page), offset, after)
        offset = 0
        if len(page) == limit:
            break
    costs = _costs(connection, [call.position.item for call in page])
    priced = [replace(call, cost=costs.get(call.position.item)) for call in page]
    return StoredCalls(priced, sum(items for _, items in counted))


def _counted(connection: sqlite3.Connection, asked: UsageFilter) -> Iterator[tuple[Span, int]]:
    """Spans that have such items, the newest first, and how many."""
    if not asked.span:
        return
    condition, values = condition_of(asked)
    whole = pieces_of(asked.span)
    edges = {bucket_of(span.start): span for span in whole.calls}
    first = bucket_of(asked.span.start)
    rows = connection.execute(
        _BUCKETS.format(condition=condition), (first, asked.span.end, *values)
    ).fetchall()
    for start, items in rows:
        edge = edges.get(start)
        span = edge or Span(start, start + BUCKET_MS)
        if edge is not None or asked.user:
            items = _count(connection, asked, span)
        if items:
            yield span, items


def _count(connection: sqlite3.Connection, asked: UsageFilter, span: Span) -> int:
    condition, values = _of_items(asked)
    row = connection.execute(
        _COUNT.format(condition=condition), (span.start, span.end, *values)
    ).fetchone()
    return int(row[0])


def _page(
    connection: sqlite3.Connection,
    asked: UsageFilter,
    span: Span,
    limit: int,
    offset: int,
    after: Position | None,
) -> list[StoredCall]:
    condition, values = _of_items(asked)
    before = after or _LAST
    rows = connection.execute(
        _PAGE.format(condition=condition),
        (span.start, span.end, *values, before.at, before.item, limit, offset),
    )
    return [_call(row) for row in rows]


def _costs(connection: sqlite3.Connection, items: Sequence[int]) -> dict[int, Money]:
    """What each of ``items`` costs by now: its charges less what was reversed."""
    marks = ", ".join("?" * len(items))
    rows = connection.execute(
        "SELECT item, currency, sum(milli), sum(pico) FROM charges "
        f"WHERE item IN ({marks}) GROUP BY item, currency ORDER BY max(number)",
        items,
    )
    # The newest currency wins: what was charged in another one before was reversed.
    return {item: money_of(milli, pico, currency) for item, currency, milli, pico in rows}


def _of_items(asked: UsageFilter) -> tuple[str, list[object]]:
    condition, values = condition_of(asked)
    if asked.user:
        return f"{condition} AND item_details.user = ?", [*values, asked.user]
    return condition, values


def _call(row: Sequence[Any]) -> StoredCall:
    at, item, namespace, name, provider, model, request_model, *rest = row[: len(_ATTRIBUTES)]
    operation, tier, region, status, user, session, run, team, duration, call, response = rest
    return StoredCall(
        position=Position(at, item),
        agent=AgentName(namespace, name),
        provider=provider,
        model=model,
        request_model=request_model or "",
        operation=operation,
        service_tier=tier,
        region=region,
        status=status,
        counts=TokenCounts(*row[len(_ATTRIBUTES) :]),
        user=user or "",
        session=session or "",
        run=run or "",
        team=team or "",
        duration_ms=duration,
        call_id=call or "",
        response_id=response or "",
        cost=None,
    )
