"""What an agent used and cost, as the operator and the objects of remote agents show it: one
amount, and what is not in it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import tzinfo

from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.metering.periods import day_at, month_at
from agentspec_usage.store.observed import AgentUsage, Cost, ObservationStore, Used
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.queries import AgentName
from agentspec_usage.wire.observed_answer import (
    AgentSaid,
    CostSaid,
    LedgerSaid,
    ObservedAnswer,
    PeriodSaid,
)

__all__ = ["cost_said", "said_now", "said_of"]


async def said_now(
    store: ObservationStore, names: Collection[AgentName], zone: tzinfo, now: int
) -> ObservedAnswer:
    """What is said of the agents that are known, in the day and month of ``zone`` at ``now``."""
    today, month = day_at(now, zone), month_at(now, zone)
    usage = await store.agent_usage(names, today, month, now)
    currency = store.currency
    return ObservedAnswer(
        tuple(said_of(name, usage[name], currency) for name in names if name in usage),
        today.end,
        month.end,
        _ledger(await store.newest_checkpoint()),
    )


def said_of(name: AgentName, usage: AgentUsage, currency: str) -> AgentSaid:
    """``currency`` is that of the present prices."""
    return AgentSaid(
        name.namespace,
        name.name,
        _period(usage.today, currency),
        _period(usage.month, currency),
        cost_said(usage.ever, currency),
        usage.tail.total,
        usage.tail.calls,
        usage.charged_as,
    )


def cost_said(used: Used, currency: str) -> CostSaid | None:
    """The amount in ``currency``, or, where nothing is charged in it, in the one of most tokens.

    Amounts of two currencies are never added, so tokens that are charged in another one have no
    part in the amount, as those without a price.
    """
    tokens = _tokens(used)
    priced = {name: cost for name, cost in used.items() if name}
    if not priced:
        return CostSaid("Unpriced", unpriced_tokens=tokens) if tokens else None
    shown = currency if currency in priced else max(priced, key=lambda each: priced[each].tokens)
    cost: Cost = priced[shown]
    return CostSaid(
        "Estimated" if cost.estimated else "Exact",
        cost.pico,
        shown,
        max(tokens - cost.tokens, 0),
    )


def _period(used: Used, currency: str) -> PeriodSaid:
    return PeriodSaid(_tokens(used), cost_said(used, currency))


def _tokens(used: Used) -> int:
    """Never below zero: in a period that takes back more estimates than it adds calls, none. And
    no more than a count may be, since one agent's answer must not spoil the others'."""
    return min(max(sum(cost.tokens for cost in used.values()), 0), MAX_COUNT)


def _ledger(signed: SignedCheckpoint | None) -> LedgerSaid | None:
    if signed is None:
        return None
    checkpoint = signed.checkpoint
    head = checkpoint.head
    return LedgerSaid(head.last, head.hash.hex(), checkpoint.key_id, checkpoint.at)
