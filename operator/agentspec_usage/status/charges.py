"""What the control plane charges an agent, as its object's status shows it.

An answer is true of the moment in which it was made. What was read since then is added as an
estimate (``moved_on``), so that a control plane that is away makes a cost doubtful (``~``) and not
wrong. A day or a month that is over is no longer shown: what it cost is in the statement, and the
next one is not known before the next answer.

Where what is read of an agent's pods is charged as another agent, the money of neither is this
object's: it says as which one, and its cost is the operator's own estimate.

The status is also what is known after a restart, so what ``charge_fields`` writes,
``charges_of_status`` reads back. People can edit it: what does not fit there counts as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field, ValidationError

from agentspec_usage.metering.checkpoint import AccruedCost
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.status.cost import cost_fields, cost_per_call_text, cost_text
from agentspec_usage.wire.observed_answer import (
    AgentSaid,
    CostSaid,
    CostShape,
    PeriodSaid,
    PeriodShape,
    TailShape,
)
from agentspec_usage.wire.shapes import Shape, Time

__all__ = [
    "NO_CHARGES",
    "Charges",
    "Growth",
    "Period",
    "charge_display",
    "charge_fields",
    "charges_of",
    "charges_of_status",
    "moved_on",
]


@dataclass(frozen=True, slots=True)
class Period:
    """What was used in the day or month that ends at ``ends`` (ms)."""

    said: PeriodSaid
    ends: int


@dataclass(frozen=True, slots=True)
class Charges:
    """What is known of an agent's charges; None for what is not. With ``charged_as``, the agent
    that is charged instead, nothing else is."""

    cost: CostSaid | None = None
    today: Period | None = None
    month: Period | None = None
    tail_tokens: int = 0
    tail_calls: int = 0
    charged_as: str = ""


NO_CHARGES = Charges()


@dataclass(frozen=True, slots=True)
class Growth:
    """Tokens that were read since an answer, and what the operator says that they cost."""

    tokens: int
    cost: AccruedCost


def charges_of(agent: AgentSaid, *, today_ends: int, month_ends: int) -> Charges:
    """What an answer says."""
    if agent.charged_as:
        return Charges(charged_as=agent.charged_as)
    return Charges(
        agent.cost,
        Period(agent.today, today_ends),
        Period(agent.month, month_ends),
        agent.tail_tokens,
        agent.tail_calls,
    )


def charges_of_status(usage: Mapping[str, Any]) -> Charges:
    """What ``status.usage`` says; nothing where it is not what this module wrote."""
    try:
        shown = _Shown.model_validate(dict(usage))
    except ValidationError:
        return NO_CHARGES
    if shown.charged_as:
        return Charges(charged_as=shown.charged_as)
    return Charges(
        None if shown.cost is None else shown.cost.cost(),
        None if shown.today is None else Period(shown.today.period(), shown.today.ends),
        None if shown.month is None else Period(shown.month.period(), shown.month.ends),
        shown.tail.tokens,
        shown.tail.calls,
    )


def moved_on(charges: Charges, growth: Growth, now: int) -> Charges:
    """``charges`` with what was read since, at ``now`` (ms)."""
    if charges.charged_as:
        return charges
    return replace(
        charges,
        cost=_grown(charges.cost, growth),
        today=_period_at(charges.today, growth, now),
        month=_period_at(charges.month, growth, now),
    )


def charge_fields(charges: Charges) -> dict[str, Any]:
    """``cost``, ``today``, ``month``, ``tail`` and ``chargedAs`` of ``status.usage``, as far as
    they are known."""
    fields: dict[str, Any] = {}
    if charges.cost is not None:
        fields["cost"] = cost_fields(charges.cost)
    for name, period in (("today", charges.today), ("month", charges.month)):
        if period is not None:
            fields[name] = {"tokens": period.said.tokens, "ends": to_rfc3339(period.ends)}
            if period.said.cost is not None:
                fields[name]["cost"] = cost_fields(period.said.cost)
    if charges.tail_tokens or charges.tail_calls:
        fields["tail"] = {"tokens": charges.tail_tokens, "calls": charges.tail_calls}
    if charges.charged_as:
        fields["chargedAs"] = charges.charged_as
    return fields


def charge_display(charges: Charges, counts: TokenCounts) -> dict[str, str]:
    """The texts of the columns COST, $/REQ and MTD, where there is something to show."""
    display: dict[str, str] = {}
    cost = charges.cost
    if cost is not None:
        display["cost"] = cost_text(cost)
        if (each := cost_per_call_text(cost, counts)) is not None:
            display["costPerCall"] = each
    if charges.month is not None:
        used = charges.month.said.cost
        if used is None and cost is not None and cost.currency:
            used = CostSaid("Exact", 0, cost.currency)
        if used is not None:
            display["month"] = cost_text(used)
    return display


class _Ended(PeriodShape):
    ends: Time


class _Shown(Shape):
    """The part of ``status.usage`` that is about money."""

    cost: CostShape | None = None
    today: _Ended | None = None
    month: _Ended | None = None
    tail: TailShape = TailShape()
    charged_as: Annotated[str, Field(max_length=253)] = ""


def _period_at(period: Period | None, growth: Growth, now: int) -> Period | None:
    if period is None or now >= period.ends:
        return None
    if not growth.tokens:
        return period
    said = PeriodSaid(period.said.tokens + growth.tokens, _grown(period.said.cost, growth))
    return Period(said, period.ends)


def _grown(cost: CostSaid | None, growth: Growth) -> CostSaid | None:
    if not growth.tokens:
        return cost
    before = cost or CostSaid("Unpriced")
    more = growth.cost
    if not more.tokens or before.currency not in ("", more.currency):
        return replace(before, unpriced_tokens=before.unpriced_tokens + growth.tokens)
    unpriced = before.unpriced_tokens + max(growth.tokens - more.tokens, 0)
    return CostSaid("Estimated", before.pico + more.pico, more.currency, unpriced)
