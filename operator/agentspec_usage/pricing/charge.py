"""The charge: what a call, or the sum of calls of one series, costs.

A product of integers, line by line, and nothing is rounded: prices were, once, when the book was
read. From that follow the laws that statements rest on: lines sum to the amount exactly; two calls
of one series cost together what each costs alone; the same counts and the same version of a book
give the same charge, bit by bit, for ever.

A sum is priced like one call of its series, with the series' context class to choose the tier,
because every call in it was of that class. Where a tier begins inside a class, or the class cannot
be true (more tokens than its calls could have), the average call decides and the charge says that
it is an estimate.

What has no price is left out and named (``unpriced``); where nothing has one there is no charge but
a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import CONTEXT_THRESHOLDS, SeriesKey
from agentspec_usage.pricing.book import PriceBook, Unpriced, UnpricedReason
from agentspec_usage.pricing.money import Money
from agentspec_usage.pricing.rates import Claim, Doubt, PriceTier, UnitPrices

__all__ = ["CALLS", "NO_REQUESTS", "Charge", "ChargeLine", "ChargeStatus", "charge", "price"]

NO_REQUESTS: Mapping[str, int] = MappingProxyType({})

CALLS = "calls"
"""The line of a fee for each call; no unit of a record is called so."""

UNMETERED_CALLS = "unmeteredCalls"
"""Calls whose usage is not known, among what has no price."""

SERVED_FROM_CACHE = "served_from_cache"
"""The unit of a call that a gateway answered from its own cache: nobody charged for it."""


class ChargeStatus(StrEnum):
    """Whether an amount is what the price book says, or the best that can be said."""

    EXACT = "Exact"
    ESTIMATED = "Estimated"


class ChargeLine(NamedTuple):
    """A quantity of one type at one price. ``type`` is a ``TokenType``, ``CALLS`` or a unit."""

    type: str
    quantity: int
    rate: int
    list_rate: int

    @property
    def pico(self) -> int:
        """The line's amount, in 10^-12 of the currency."""
        return self.quantity * self.rate


class Charge(NamedTuple):
    """An amount and how it came about. ``tier`` is the threshold that the calls exceeded.

    ``unpriced`` names what was used and has no price: the amount is without it.
    """

    amount: Money
    list_amount: Money
    lines: tuple[ChargeLine, ...]
    tier: int
    price_id: str
    sku: str
    doubts: tuple[Doubt, ...] = ()
    unpriced: tuple[str, ...] = ()

    @property
    def status(self) -> ChargeStatus:
        """``Estimated`` where anything in it was."""
        return ChargeStatus.ESTIMATED if self.doubts else ChargeStatus.EXACT


def price(
    counts: TokenCounts,
    requests: Mapping[str, int],
    key: SeriesKey,
    at: int,
    book: PriceBook,
) -> Charge | Unpriced:
    """What ``counts`` and ``requests`` of series ``key`` cost at ``at`` (ms, UTC) by ``book``."""
    found = book.find(key, at)
    if found is None:
        return Unpriced(UnpricedReason.UNKNOWN_MODEL)
    if isinstance(found, Unpriced):
        return found
    return charge(counts, requests, found, key.context_class)


def charge(
    counts: TokenCounts,
    requests: Mapping[str, int],
    prices: UnitPrices,
    context_class: int,
) -> Charge | Unpriced:
    """What ``counts`` and ``requests`` cost by ``prices``, as calls of this context class."""
    tier, certain = _tier(prices.tiers, counts, context_class)
    doubts = prices.doubts if certain else (*prices.doubts, Doubt.CALL_SIZE)
    values = counts.as_tuple()
    lines: list[ChargeLine] = []
    unpriced: list[str] = []
    if counts.input:
        _serve(tier.input, counts.input, values, lines, unpriced)
        if (
            tier.mixes
            and (counts.audio_in or counts.image_in)
            and (counts.cache_read or counts.cache_write)
        ):
            doubts = (*doubts, Doubt.OVERLAP)
    if counts.output:
        _serve(tier.output, counts.output, values, lines, unpriced)
    metered = counts.calls - counts.unmetered_calls
    if tier.call is not None and tier.list_call is not None and metered > 0:
        lines.append(ChargeLine(CALLS, metered, tier.call, tier.list_call))
    if requests:
        _serve_units(prices.units, requests, lines, unpriced)
    if counts.unmetered_calls:
        unpriced.append(UNMETERED_CALLS)
    if unpriced and not lines:
        only = unpriced == [UNMETERED_CALLS]
        return Unpriced(UnpricedReason.UNMETERED if only else UnpricedReason.NO_RATE)
    amount = list_amount = 0
    for _, quantity, rate, list_rate in lines:
        amount += quantity * rate
        list_amount += quantity * list_rate
    money = Money(amount, prices.currency)
    return Charge(
        money,
        money if list_amount == amount else Money(list_amount, prices.currency),
        tuple(lines),
        tier.above,
        prices.price_id,
        prices.sku,
        doubts,
        tuple(unpriced),
    )


def _serve(
    claims: tuple[Claim, ...],
    left: int,
    values: tuple[int, ...],
    lines: list[ChargeLine],
    unpriced: list[str],
) -> None:
    """Share out ``left`` tokens of a whole; the last claim, the whole's, takes the rest.

    Where claims exceed the whole (cached audio is counted as cached and as audio), the earlier one
    has the tokens.
    """
    for type_, position, rate, list_rate in claims:
        quantity = values[position]
        if quantity > left:
            quantity = left
        if not quantity:
            continue
        left -= quantity
        if rate is None or list_rate is None:
            unpriced.append(type_)
        else:
            lines.append(ChargeLine(type_, quantity, rate, list_rate))


def _serve_units(
    units: tuple[tuple[str, int, int], ...],
    requests: Mapping[str, int],
    lines: list[ChargeLine],
    unpriced: list[str],
) -> None:
    priced = {name: (rate, list_rate) for name, rate, list_rate in units}
    for name in sorted(requests):
        quantity = requests[name]
        if not quantity or name == SERVED_FROM_CACHE:
            continue
        if name in priced:
            lines.append(ChargeLine(name, quantity, *priced[name]))
        else:
            unpriced.append(name)


def _tier(
    tiers: tuple[PriceTier, ...], counts: TokenCounts, context_class: int
) -> tuple[PriceTier, bool]:
    """The tier that the calls were in, and whether that is certain."""
    if len(tiers) == 1:
        return tiers[0], True
    if counts.calls == 1:
        # One call: its size is known whatever the class says.
        return _highest(tiers, counts.input), True
    below = _next_threshold(context_class)
    average = counts.input // max(counts.calls - counts.unmetered_calls, 1)
    smallest = _highest(tiers, context_class + 1)
    largest = tiers[-1] if below is None else _highest(tiers, below)
    if smallest is largest and (below is None or average <= below):
        return smallest, True
    return _highest(tiers, average), False


def _highest(tiers: tuple[PriceTier, ...], size: int) -> PriceTier:
    """The tier of a call with ``size`` input tokens: the last whose threshold it exceeds."""
    found = tiers[0]
    for tier in tiers[1:]:
        if size <= tier.above:
            break
        found = tier
    return found


def _next_threshold(context_class: int) -> int | None:
    """The size that no call of this class exceeds; None for the highest class."""
    for threshold in CONTEXT_THRESHOLDS:
        if threshold > context_class:
            return threshold
    return None
