"""What a statement is made of: the usage of a period by account and model, and its corrections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from agentspec_usage.metering.counts import COMPONENTS, ZERO, TokenCounts
from agentspec_usage.metering.periods import Span
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.pricing.money import by_currency
from agentspec_usage.pricing.statement import Account, Usage
from agentspec_usage.store.periods import PROVISIONAL, correction_of
from agentspec_usage.store.queries import UsageFilter, UsageSum
from agentspec_usage.store.sql.charging import money_of_sums
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.provisional import tail_lines
from agentspec_usage.store.sql.rollups import summed
from agentspec_usage.store.sql.sums import IS_CALL, condition_of, sum_rows

__all__ = ["charged_usage", "provisional_usage", "without_notes"]

_DIMENSIONS = "agents.namespace, accounts.cost_center, accounts.team, agents.name, series.model"

_CORRECTIONS = """
    SELECT {dimensions}, coalesce(periods.name, ''), prices.currency, {sums} FROM items AS kept
    JOIN accounts USING (account) JOIN agents USING (agent)
    JOIN series USING (series) JOIN prices USING (price)
    LEFT JOIN periods ON kept.claimed_at >= periods.start_at AND kept.claimed_at < periods.end_at
    WHERE kept.correction = 1 AND kept.at >= ? AND kept.at < ? AND {condition}
    GROUP BY {dimensions}, periods.name, prices.currency"""


def charged_usage(connection: Connection, asked: UsageFilter) -> list[Usage]:
    """What is charged for the period: its own usage, and corrections of closed ones as lines of
    their own."""
    whole: dict[Account, UsageSum] = {}
    for dimensions, part in sum_rows(connection, _DIMENSIONS, asked):
        account = (*dimensions, "")
        whole[account] = whole.get(account, UsageSum()) + part
    late: dict[Account, UsageSum] = {}
    for account, part in _corrections(connection, asked):
        late[account] = late.get(account, UsageSum()) + part
        own = (*account[:-1], "")
        whole[own] = _less(whole.get(own, UsageSum()), part)
    lines = {account: part for account, part in whole.items() if _is_something(part)}
    return [_usage(account, part) for account, part in {**lines, **late}.items()]


def provisional_usage(
    connection: Connection, span: Span, book: PriceBook, now: int, namespace: str = ""
) -> list[Usage]:
    """What was used in the period and is in no charge yet, priced as it stands."""
    return [
        _usage(
            (
                *(line.agent.namespace, line.cost_center, "", line.agent.name),
                *(line.key.model, PROVISIONAL),
            ),
            line.sum,
        )
        for line in tail_lines(connection, span, book, now, namespace)
    ]


def without_notes(usage: Sequence[Usage]) -> list[Usage]:
    """The same with corrections in the lines that they belong to; none that sums to nothing."""
    lines: dict[Account, Usage] = {}
    for used in usage:
        account = (*used.account[:-1], "")
        known = lines.get(account, Usage(account, ZERO, ()))
        counts = zip(known.counts.as_tuple(), used.counts.as_tuple(), strict=True)
        lines[account] = Usage(
            account,
            TokenCounts(*(a + b for a, b in counts)),
            tuple(cost for cost in by_currency((*known.costs, *used.costs)) if cost.pico),
            known.unpriced + used.unpriced,
            known.estimated + used.estimated,
        )
    return [used for used in lines.values() if any(used.counts.as_tuple()) or used.costs]


def _corrections(connection: Connection, asked: UsageFilter) -> Iterator[tuple[Account, UsageSum]]:
    condition, values = condition_of(asked)
    query = _CORRECTIONS.format(
        dimensions=_DIMENSIONS,
        sums=summed(connection.dialect, "kept", items=IS_CALL),
        condition=condition,
    )
    for row in connection.execute(query, (asked.span.start, asked.span.end, *values)):
        *dimensions, period, currency = row[:7]
        yield (*dimensions, correction_of(period)), _sum(row[7:], currency)


def _sum(numbers: Sequence[Any], currency: str) -> UsageSum:
    items, *rest = numbers
    counts, (high, low, pico, priced, estimated) = rest[: len(COMPONENTS)], rest[len(COMPONENTS) :]
    cost = (money_of_sums(high, low, pico, currency),) if currency else ()
    return UsageSum(TokenCounts(*counts), items, cost, priced, estimated)


def _less(whole: UsageSum, part: UsageSum) -> UsageSum:
    counts = zip(whole.counts.as_tuple(), part.counts.as_tuple(), strict=True)
    return UsageSum(
        TokenCounts(*(a - b for a, b in counts)),
        whole.items - part.items,
        by_currency((*whole.costs, *(-cost for cost in part.costs))),
        whole.priced - part.priced,
        whole.estimated - part.estimated,
    )


def _is_something(part: UsageSum) -> bool:
    return bool(part.items or any(part.counts.as_tuple()) or any(cost.pico for cost in part.costs))


def _usage(account: Account, part: UsageSum) -> Usage:
    return Usage(account, part.counts, part.costs, part.counts.calls - part.priced, part.estimated)
