"""What a few hundred named agents used and cost: today, this month, and ever.

A handful of statements for all of them together, each through the sums' index by account: an
operator asks for every agent every few minutes, and most of those sums are of others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.periods import Span, pieces_of
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.store.observed import AgentUsage, Cost, Used
from agentspec_usage.store.queries import AgentName
from agentspec_usage.store.sql.charging import money_of_sums, summed_money
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.levels import one_of
from agentspec_usage.store.sql.names import charged_as
from agentspec_usage.store.sql.observing import observed_agents
from agentspec_usage.store.sql.provisional import provisional_sum, tails_in
from agentspec_usage.store.sql.rollups import BUCKETS, DAYS

__all__ = ["agent_usage"]

_EVER = Span(0, 2**53 - 2**53 % (24 * 60 * 60 * 1000))

_Costs = dict[int, dict[str, Cost]]
"""By agent and currency."""


def agent_usage(
    connection: Connection,
    names: Collection[AgentName],
    today: Span,
    month: Span,
    book: PriceBook,
    now: int,
) -> dict[AgentName, AgentUsage]:
    """What each agent used, its provisional tail included. The periods begin and end with a
    bucket."""
    agents = observed_agents(connection, names)
    if not agents:
        return {}
    numbers = [agent.number for agent in agents.values()]
    spans = (today, month, _EVER)
    costs = [_charged(connection, span, numbers) for span in spans]
    tails = tails_in(connection, spans, numbers)
    for of_span, tail in zip(costs, tails, strict=True):
        _add_tail(of_span, tail, book, now)
    left: dict[int, TokenCounts] = {}
    for (agent, _), counts in tails[-1].items():
        left[agent] = left.get(agent, ZERO) + counts
    others = charged_as(connection, numbers)
    in_today, in_month, in_all = costs
    return {
        name: AgentUsage(
            _used(in_today, agent.number),
            _used(in_month, agent.number),
            _used(in_all, agent.number),
            left.get(agent.number, ZERO),
            others.get(agent.number, ""),
        )
        for name, agent in agents.items()
    }


def _charged(connection: Connection, span: Span, agents: Collection[int]) -> _Costs:
    rows = connection.execute(
        f"SELECT account, agent FROM accounts WHERE agent {one_of(agents)}", (*agents,)
    )
    owners = dict(rows.fetchall())
    found: _Costs = {}
    if not owners:
        return found
    count = connection.dialect.summed_count
    pieces = pieces_of(span)
    for table, spans in ((BUCKETS, pieces.buckets), (DAYS, pieces.days)):
        query = (
            f"SELECT kept.account, prices.currency, {count('kept.input')}, {count('kept.output')}, "
            f"{summed_money('kept')}, {count('kept.estimated')} FROM {table} AS kept "
            f"JOIN prices USING (price) WHERE kept.account {one_of(owners)} "
            "AND kept.start >= ? AND kept.start < ? GROUP BY kept.account, prices.currency"
        )
        for piece in spans:
            for row in connection.execute(query, (*owners, piece.start, piece.end)):
                account, currency, tokens_in, tokens_out, high, low, rest, estimated = row
                pico = money_of_sums(high, low, rest, currency).pico
                cost = Cost(tokens_in + tokens_out, pico, estimated > 0)
                _add(found, owners[account], currency, cost)
    return found


def _add_tail(
    costs: _Costs, tail: Mapping[tuple[int, SeriesKey], TokenCounts], book: PriceBook, now: int
) -> None:
    for (agent, key), counts in tail.items():
        made = provisional_sum(counts, key, now, book)
        if made.costs:
            money = made.costs[0]
            _add(costs, agent, money.currency, Cost(counts.total, money.pico, estimated=True))
        else:
            _add(costs, agent, "", Cost(counts.total))


def _used(costs: _Costs, agent: int) -> Used:
    """Without a currency of which nothing is left, because all of it was priced in another one."""
    of_agent = costs.get(agent, {})
    return {name: cost for name, cost in of_agent.items() if cost.tokens or cost.pico}


def _add(costs: _Costs, agent: int, currency: str, cost: Cost) -> None:
    of_agent = costs.setdefault(agent, {})
    of_agent[currency] = of_agent.get(currency, Cost()) + cost
