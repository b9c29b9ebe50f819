"""Unit prices: what one token of each type, one call and one unit beside them cost.

A model's price is not one table: where a call's input exceeds a threshold, *all* its tokens have
another price. So ``UnitPrices`` holds a ``PriceTier`` for each step, the first from zero on.

Counts contain one another: cached tokens are input, reasoning is output. A tier is therefore a list
of *claims*: each token type with a price of its own claims its tokens from its whole, and the whole
keeps the rest, so that no token is paid twice. A type without a price of its own is part of its
whole: cached tokens of a model without a cache price cost what input costs. Where the whole has no
price either, its rate is None, which is not a price of zero.

Rates are integers, 10^-12 of the currency for one (``money``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from agentspec_usage.metering.counts import COMPONENTS

__all__ = [
    "Claim",
    "Doubt",
    "PriceTier",
    "Rates",
    "TokenType",
    "UnitPrices",
    "price_tier",
    "scaled",
]


class TokenType(StrEnum):
    """What a line of a charge counts; the values are its names on the wire."""

    INPUT = "input"
    CACHE_READ = "cacheRead"
    CACHE_WRITE = "cacheWrite"
    CACHE_WRITE_5M = "cacheWrite5m"
    CACHE_WRITE_30M = "cacheWrite30m"
    CACHE_WRITE_1H = "cacheWrite1h"
    CACHE_WRITE_12H = "cacheWrite12h"
    AUDIO_IN = "audioIn"
    IMAGE_IN = "imageIn"
    OUTPUT = "output"
    REASONING = "reasoning"
    AUDIO_OUT = "audioOut"
    IMAGE_OUT = "imageOut"


class Doubt(StrEnum):
    """Why a charge is an estimate although there is a price."""

    BATCH = "no published price for batches"
    CALL_SIZE = "the size of the single calls is not known"
    OVERLAP = "cached tokens may be among the audio or image tokens"
    PROVIDER = "the provider was guessed from a name"
    REGION = "no published price for the region"
    SERVICE_TIER = "no published price for the service tier"


@dataclass(frozen=True, slots=True)
class Rates:
    """One table as it is published; None where a type has no price of its own.

    ``cache_write`` is what a write costs whose time to live has no price. ``call`` is a fee for
    each call.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_5m: int | None = None
    cache_write_30m: int | None = None
    cache_write_1h: int | None = None
    cache_write_12h: int | None = None
    reasoning: int | None = None
    audio_in: int | None = None
    audio_out: int | None = None
    image_in: int | None = None
    image_out: int | None = None
    call: int | None = None


class Claim(NamedTuple):
    """Tokens that have a price: the component of the count vector at ``position``."""

    type: TokenType
    position: int
    rate: int | None
    list_rate: int | None


@dataclass(frozen=True, slots=True)
class PriceTier:
    """The prices of calls whose input exceeds ``above`` tokens, down to those of the next tier.

    ``input`` and ``output`` are claims in the order in which they are served, the whole last.
    ``mixes`` says that media and cached tokens have prices apart, so that a token that is both has
    no certain one.
    """

    above: int
    input: tuple[Claim, ...]
    output: tuple[Claim, ...]
    call: int | None = None
    list_call: int | None = None
    mixes: bool = False


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """What a model costs in one price context for a stretch of time.

    ``price_id`` names exactly these numbers within one version of the price book; ``sku`` names the
    model. ``tiers`` ascend and begin at zero. ``units`` are what is billed beside tokens: name (as
    in a record's ``requests``), rate, list rate.
    """

    sku: str
    price_id: str
    currency: str
    tiers: tuple[PriceTier, ...]
    units: tuple[tuple[str, int, int], ...] = ()
    doubts: tuple[Doubt, ...] = ()


_INPUT = (
    (TokenType.CACHE_WRITE_5M, "cache_write_5m", "cache_write"),
    (TokenType.CACHE_WRITE_30M, "cache_write_30m", "cache_write"),
    (TokenType.CACHE_WRITE_1H, "cache_write_1h", "cache_write"),
    (TokenType.CACHE_WRITE_12H, "cache_write_12h", "cache_write"),
    (TokenType.CACHE_WRITE, "cache_write_unspecified", "cache_write"),
    (TokenType.CACHE_READ, "cache_read", "cache_read"),
    (TokenType.AUDIO_IN, "audio_in", "audio_in"),
    (TokenType.IMAGE_IN, "image_in", "image_in"),
)
_OUTPUT = (
    (TokenType.AUDIO_OUT, "audio_out", "audio_out"),
    (TokenType.IMAGE_OUT, "image_out", "image_out"),
    (TokenType.REASONING, "reasoning", "reasoning"),
)
"""Each claim's type, the component that it takes, and the rate for want of one of its own."""


def price_tier(above: int, rates: Rates) -> PriceTier:
    """The tier of published ``rates``."""
    claims = (*_claims(_INPUT, rates), _whole(TokenType.INPUT, rates.input))
    types = {claim.type for claim in claims}
    return PriceTier(
        above,
        claims,
        (*_claims(_OUTPUT, rates), _whole(TokenType.OUTPUT, rates.output)),
        rates.call,
        rates.call,
        bool(types & {TokenType.AUDIO_IN, TokenType.IMAGE_IN}) and TokenType.CACHE_READ in types,
    )


def scaled(
    prices: UnitPrices, factor: Decimal, price_id: str, *, as_list_price: bool = False
) -> UnitPrices:
    """The prices times ``factor``, each rounded once, half to even.

    A discount leaves the list prices where they are. An uplift is a list price of its own, and on
    tokens alone: a search costs the same in every region.
    """
    ratio = Fraction(factor)

    def times(rate: int) -> int:
        return round(rate * ratio)

    tiers = tuple(
        PriceTier(
            tier.above,
            _scaled_claims(tier.input, times, as_list_price),
            _scaled_claims(tier.output, times, as_list_price),
            tier.call if as_list_price or tier.call is None else times(tier.call),
            tier.list_call,
            tier.mixes,
        )
        for tier in prices.tiers
    )
    units = prices.units
    if not as_list_price:
        units = tuple((name, times(rate), listed) for name, rate, listed in units)
    return replace(prices, price_id=price_id, tiers=tiers, units=units)


def _claims(table: tuple[tuple[TokenType, str, str], ...], rates: Rates) -> tuple[Claim, ...]:
    found = []
    for type_, component, fallback in table:
        rate: int | None = getattr(rates, component, None)
        if rate is None:
            rate = getattr(rates, fallback)
        if rate is not None:
            found.append(Claim(type_, COMPONENTS.index(component), rate, rate))
    return tuple(found)


def _whole(type_: TokenType, rate: int | None) -> Claim:
    return Claim(type_, COMPONENTS.index(type_.value), rate, rate)


def _scaled_claims(
    claims: tuple[Claim, ...], times: Callable[[int], int], as_list_price: bool
) -> tuple[Claim, ...]:
    changed = []
    for claim in claims:
        rate = None if claim.rate is None else times(claim.rate)
        changed.append(
            claim._replace(rate=rate, list_rate=rate if as_list_price else claim.list_rate)
        )
    return tuple(changed)
