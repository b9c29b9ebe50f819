"""A day's sum taken apart: how many tokens of each type it was, and what each type cost.

A charge is linear in its counts, so the lines of a sum follow from the sum and the price card. Not
always: where claims exceed their whole (cached audio is counted as cached and as audio) a charge
gives the tokens to the earlier claim, call by call, and the sum of that is not what the sum of the
calls says. The amount tells: what was charged is known, to the last digit. A sum whose lines do not
come to it does not *add up*, and is to be taken apart entry by entry.

Quantities beside a price are those that were charged. Beside none, they are what the file of
charges must leave out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.pricing.book import Unpriced, UnpricedReason
from agentspec_usage.pricing.charge import CALLS, NO_REQUESTS, SERVED_FROM_CACHE, charge
from agentspec_usage.pricing.focus.usage import DayUsage
from agentspec_usage.pricing.rates import Claim, PriceTier, TokenType, UnitPrices

__all__ = ["Line", "adds_up", "lines_of"]


class Line(NamedTuple):
    """A quantity of one type: a ``TokenType`` or, as a plain text, ``CALLS`` or a unit.

    A ``rate`` of None is no price.
    """

    type: str
    quantity: int
    rate: int | None
    list_rate: int | None


def adds_up(used: DayUsage) -> bool:
    """Whether the lines of the sum are the sum of its entries' lines."""
    if isinstance(used.prices, UnpricedReason):
        return True
    if _sign(used) is None:
        return False
    return sum(line.quantity * (line.rate or 0) for line in lines_of(used)) == used.pico


def lines_of(used: DayUsage) -> tuple[Line, ...]:
    """The lines of a sum with a price; quantities have the sign of the counts.

    A sum whose counts are of both signs has none: no call is like it.
    """
    prices, sign = used.prices, _sign(used)
    if isinstance(prices, UnpricedReason) or sign is None:
        return ()
    return (*_token_lines(used, prices, sign), *_unit_lines(used, prices))


def _sign(used: DayUsage) -> int | None:
    quantities = (*used.counts, *used.requests.values())
    least, greatest = min(quantities), max(quantities)
    if least < 0 < greatest:
        return None
    return -1 if least < 0 else 1


def _token_lines(used: DayUsage, prices: UnitPrices, sign: int) -> Iterator[Line]:
    counts = TokenCounts(*(sign * count for count in used.counts))
    made = charge(counts, NO_REQUESTS, _complete(prices), used.series.context_class)
    if isinstance(made, Unpriced):
        return
    tier = prices.tiers[0]
    rates = {claim.type: claim for claim in (*tier.input, *tier.output)}
    for line in made.lines:
        if line.type == CALLS:
            yield Line(CALLS, sign * line.quantity, tier.call, tier.list_call)
        else:
            claim = rates[TokenType(line.type)]
            yield Line(claim.type, sign * line.quantity, claim.rate, claim.list_rate)


def _unit_lines(used: DayUsage, prices: UnitPrices) -> Iterator[Line]:
    rates = {name: (rate, list_rate) for name, rate, list_rate in prices.units}
    for name, quantity in sorted(used.requests.items()):
        if quantity and name != SERVED_FROM_CACHE:
            yield Line(name, quantity, *rates.get(name, (None, None)))


@lru_cache(maxsize=4096)
def _complete(prices: UnitPrices) -> UnitPrices:
    """The prices with a rate of zero where there is none, so that every quantity has a line."""
    tier = prices.tiers[0]
    return replace(
        prices,
        tiers=(
            PriceTier(
                tier.above,
                tuple(map(_with_rate, tier.input)),
                tuple(map(_with_rate, tier.output)),
                tier.call,
                tier.list_call,
                tier.mixes,
            ),
        ),
    )


def _with_rate(claim: Claim) -> Claim:
    return claim._replace(rate=claim.rate or 0, list_rate=claim.list_rate or 0)
