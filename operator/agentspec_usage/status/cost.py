"""How a cost is shown: exact for programs, short for people, and its doubts beside it.

``~`` is an estimate, which whatever the operator prices itself is (``pricing.accrual``). ``?`` says
that some of the tokens have no price: the amount is without them, and where none has one there is
no amount, which is not an amount of zero.
"""

from __future__ import annotations

from typing import Any

from agentspec_usage.metering.checkpoint import AccruedCost
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.pricing.money import PICO, Money
from agentspec_usage.wire.observed_answer import CostSaid

__all__ = ["cost_fields", "cost_of", "cost_per_call_text", "cost_text", "short_number"]

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}


def cost_of(accrued: AccruedCost, counts: TokenCounts) -> CostSaid | None:
    """What the operator itself says that ``counts`` cost; None where nothing was used."""
    if not counts.total:
        return None
    unpriced = max(counts.total - accrued.tokens, 0)
    if not accrued.tokens:
        return CostSaid("Unpriced", unpriced_tokens=unpriced)
    return CostSaid("Estimated", accrued.pico, accrued.currency, unpriced)


def cost_fields(cost: CostSaid) -> dict[str, Any]:
    """``status.usage.cost``, and that of a period."""
    fields: dict[str, Any] = {"status": cost.status}
    if cost.currency:
        fields["amount"] = str(Money(cost.pico, cost.currency))
        fields["currency"] = cost.currency
    if cost.unpriced_tokens:
        fields["unpricedTokens"] = cost.unpriced_tokens
    return fields


def cost_text(cost: CostSaid) -> str:
    """The text of a column of money."""
    return _marked(cost, cost.pico)


def cost_per_call_text(cost: CostSaid, counts: TokenCounts) -> str | None:
    """The cost of one of the calls whose usage is known; None where there is none."""
    calls = counts.calls - counts.unmetered_calls
    if calls <= 0 or not cost.currency:
        return None
    return _marked(cost, cost.pico // calls)


def short_number(number: int) -> str:
    """``number`` in at most four digits and a unit, rounded down: 999, 12.3k, 4.5M, 678B."""
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            whole, tenth = number // size, number % size * 10 // size
            return f"{whole}{unit}" if whole >= 100 else f"{whole}.{tenth}{unit}"
    return str(number)


def _marked(cost: CostSaid, pico: int) -> str:
    if not cost.currency:
        return "?"
    estimate = "~" if cost.status == "Estimated" else ""
    doubt = "?" if cost.unpriced_tokens else ""
    return f"{estimate}{_short(pico, cost.currency)}{doubt}"


def _short(pico: int, currency: str) -> str:
    """Cents from one unit of the currency on, three digits below it, rounded down."""
    symbol = _SYMBOLS.get(currency, f"{currency} ")
    if pico < 0:
        symbol = f"-{symbol}"
    whole, fraction = divmod(abs(pico), PICO)
    if whole >= 10_000:
        return symbol + short_number(whole)
    digits = f"{fraction:012d}"
    kept = 2
    if not whole and fraction:
        kept = max(len(digits) - len(digits.lstrip("0")) + 3, 2)
    shown = digits[:kept].rstrip("0").ljust(2, "0")
    return f"{symbol}{whole}.{shown}"
