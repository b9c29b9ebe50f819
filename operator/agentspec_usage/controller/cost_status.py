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

__all__ = ["cost_display", "cost_fields", "short_number"]

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}


def cost_fields(cost: AccruedCost, counts: TokenCounts) -> dict[str, Any] | None:
    """``status.usage.cost``; None where nothing was used."""
    if not counts.total:
        return None
    unpriced = _unpriced(cost, counts)
    fields: dict[str, Any] = {"status": "Estimated" if cost.tokens else "Unpriced"}
    if cost.tokens:
        fields["amount"] = str(Money(cost.pico, cost.currency))
        fields["currency"] = cost.currency
    if unpriced:
        fields["unpricedTokens"] = unpriced
    return fields


def cost_display(cost: AccruedCost, counts: TokenCounts) -> dict[str, str]:
    """The texts of the columns COST and $/REQ, where there is something to show."""
    if not counts.total:
        return {}
    if not cost.tokens:
        return {"cost": "?"}
    doubt = "?" if _unpriced(cost, counts) else ""
    display = {"cost": f"~{_short(cost.pico, cost.currency)}{doubt}"}
    calls = counts.calls - counts.unmetered_calls
    if calls > 0:
        display["costPerCall"] = f"~{_short(cost.pico // calls, cost.currency)}{doubt}"
    return display


def short_number(number: int) -> str:
    """``number`` in at most four digits and a unit, rounded down: 999, 12.3k, 4.5M, 678B."""
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            whole, tenth = number // size, number % size * 10 // size
            return f"{whole}{unit}" if whole >= 100 else f"{whole}.{tenth}{unit}"
    return str(number)


def _unpriced(cost: AccruedCost, counts: TokenCounts) -> int:
    return max(counts.total - cost.tokens, 0)


def _short(pico: int, currency: str) -> str:
    """Cents from one unit of the currency on, three digits below it, rounded down."""
    symbol = _SYMBOLS.get(currency, f"{currency} ")
    whole, fraction = divmod(pico, PICO)
    if whole >= 10_000:
        return symbol + short_number(whole)
    digits = f"{fraction:012d}"
    kept = 2
    if not whole and fraction:
        kept = max(len(digits) - len(digits.lstrip("0")) + 3, 2)
    shown = digits[:kept].rstrip("0").ljust(2, "0")
    return f"{symbol}{whole}.{shown}"
