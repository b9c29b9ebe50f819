"""The stored calls, newest first, a page at a time.

The kept sums know how many items each bucket has of an agent and a model. So a page is found by
walking the buckets backwards and reading items only where the page lies, and the total is counted
from sums; only edges within a bucket, and a search by user, count items themselves.

Of before the end of what was dropped by policy the sums know more than there is, so items are
counted there.

Items of one time are ordered by their number, so that no page shows one twice or leaves one out; a
page that goes on from a position is not moved by what was stored meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from agentspec_usage.metering.counts import COMPONENTS, TokenCounts
from agentspec_usage.metering.frame import BUCKET_MS, bucket_of
from agentspec_usage.metering.periods import Span, pieces_of
from agentspec_usage.pricing.money import Money
from agentspec_usage.store.queries import AgentName, Position, StoredCall, StoredCalls, UsageFilter
from agentspec_usage.store.sql.charging import money_of
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.items import CALL_KINDS
from agentspec_usage.store.sql.pruned import pruned_until
from agentspec_usage.store.sql.rollups import BUCKETS
from agentspec_usage.store.sql.sums import condition_of

__all__ = ["calls"]

_FROM = f"""
    FROM items JOIN accounts USING (account) JOIN agents USING (agent) JOIN series USING (series)
    LEFT JOIN item_details USING (item)
    WHERE items.at >= ? AND items.at < ? AND {{condition}}
    AND items.kind IN ({", ".join(f"'{kind}'" for kind in CALL_KINDS)})"""

_COUNT = f"SELECT count(*) {_FROM}"

_ATTRIBUTES = (
    *("items.at", "items.item", "agents.namespace", "agents.name"),
    *("series.provider", "series.model", "item_details.request_model"),
    *("series.operation", "series.service_tier", "series.region", "items.status"),
    *("item_details.user_id", "item_details.session", "item_details.run", "item_details.team"),
    *("item_details.duration_ms", "item_details.call_id", "item_details.response_id"),
)
_PAGE = f"""
    SELECT {", ".join((*_ATTRIBUTES, *(f"items.{name}" for name in COMPONENTS)))} {_FROM}
    AND (items.at, items.item) < (?, ?)
    ORDER BY items.at DESC, items.item DESC LIMIT ? OFFSET ?"""

_BUCKETS = f"""
    SELECT kept.start, sum(kept.items) FROM {BUCKETS} AS kept
    JOIN accounts USING (account) JOIN agents USING (agent) JOIN series USING (series)
    WHERE kept.start >= ? AND kept.start < ? AND {{condition}}
    GROUP BY kept.start ORDER BY kept.start DESC"""

_LEFT = f"""
    SELECT items.at - items.at % {BUCKET_MS} AS start, count(*) {_FROM}
    GROUP BY 1 ORDER BY 1 DESC"""

_LAST = Position(2**62, 2**62)


def calls(
    connection: Connection,
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
    standing = _standing(connection, [call.position.item for call in page])
    known = [
        replace(call, counts=counts, cost=cost)
        for call in page
        for counts, cost in (standing[call.position.item],)
    ]
    return StoredCalls(known, sum(items for _, items in counted))


def _counted(connection: Connection, asked: UsageFilter) -> Iterator[tuple[Span, int]]:
    """Spans that have such items, the newest first, and how many."""
    if not asked.span:
        return
    condition, values = condition_of(asked)
    whole = pieces_of(asked.span)
    edges = {bucket_of(span.start): span for span in whole.calls}
    first = bucket_of(asked.span.start)
    until = pruned_until(connection)
    rows = connection.execute(
        _BUCKETS.format(condition=condition), (max(first, until), asked.span.end, *values)
    ).fetchall()
    for start, items in rows:
        edge = edges.get(start)
        span = edge or Span(start, start + BUCKET_MS)
        if edge is not None or asked.user:
            items = _count(connection, asked, span)
        if items:
            yield span, items
    left = asked.span.meet(Span(0, until))
    condition, values = _of_items(asked)
    rows = connection.execute(
        _LEFT.format(condition=condition), (left.start, left.end, *values)
    ).fetchall()
    for start, items in rows:
        yield Span(start, start + BUCKET_MS).meet(left), items


def _count(connection: Connection, asked: UsageFilter, span: Span) -> int:
    condition, values = _of_items(asked)
    row = connection.execute(
        _COUNT.format(condition=condition), (span.start, span.end, *values)
    ).fetchone()
    return int(row[0])


def _page(
    connection: Connection,
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


def _standing(
    connection: Connection, items: Sequence[int]
) -> dict[int, tuple[TokenCounts, Money | None]]:
    """What each of ``items`` is and costs by now: itself, and all that corrects it."""
    if not items:
        return {}
    marks = ", ".join("?" * len(items))
    rows = connection.execute(
        f"SELECT coalesce(corrects, item) AS whose, currency, milli, pico, {', '.join(COMPONENTS)} "
        "FROM items JOIN prices USING (price) "
        f"WHERE item IN ({marks}) OR corrects IN ({marks}) ORDER BY items.item",
        (*items, *items),
    )
    found: dict[int, tuple[list[int], dict[str, int], str]] = {}
    for item, currency, milli, pico, *counts in rows:
        before, amounts, _ = found.get(item, ([0] * len(counts), {}, ""))
        amounts[currency] = amounts.get(currency, 0) + money_of(milli, pico, "").pico
        # The newest price is the one that counts: another currency's, or none any more.
        found[item] = [a + b for a, b in zip(before, counts, strict=True)], amounts, currency
    return {
        item: (TokenCounts(*counts), Money(amounts[newest], newest) if newest else None)
        for item, (counts, amounts, newest) in found.items()
    }


def _of_items(asked: UsageFilter) -> tuple[str, list[object]]:
    condition, values = condition_of(asked)
    if asked.user:
        return f"{condition} AND item_details.user_id = ?", [*values, asked.user]
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
