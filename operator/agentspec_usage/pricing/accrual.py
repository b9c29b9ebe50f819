"""The running cost of an agent's usage: each growth at the price in force when it was seen.

The other ways were weighed. Pricing the totals anew each time is wrong from the day a price
changes. Pricing what was used in an interval at its end is wrong by no more than the interval, and
needs no memory but the sum: it survives a restart inside the checkpoint, to the last digit, and
two processes that observe the same reading on the same checkpoint come to the same sum.

It is an estimate all the same, and is shown as one: the price is that of the reading, not of the
call, and units beside tokens (searches) are not in what an agent reports here. What was billed is
for whoever prices each call.

One currency: the book's. Another one, after a new book, begins a new sum, and what came before
counts as unpriced.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentspec_usage.metering.snapshot import SeriesRow
from agentspec_usage.metering.state import AccruedCost
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.pricing.charge import NO_REQUESTS, Charge, price
from agentspec_usage.pricing.rates import TokenType

__all__ = ["accrued"]

_TOKEN_TYPES = frozenset(TokenType)


def accrued(cost: AccruedCost, grown: Iterable[SeriesRow], at: int, book: PriceBook) -> AccruedCost:
    """``cost`` and what ``grown`` costs at ``at`` (ms, UTC)."""
    if cost.currency != book.currency:
        cost = AccruedCost(book.currency)
    pico, tokens = cost.pico, cost.tokens
    for row in grown:
        found = price(row.counts, NO_REQUESTS, row.key, at, book)
        if isinstance(found, Charge) and found.amount.currency == book.currency:
            pico += found.amount.pico
            tokens += sum(line.quantity for line in found.lines if line.type in _TOKEN_TYPES)
    if (pico, tokens) == (cost.pico, cost.tokens):
        return cost
    return AccruedCost(book.currency, pico, tokens)
