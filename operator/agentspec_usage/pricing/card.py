"""The price card: the unit prices that a charge was made by, as a text that is kept with it.

A charge can be computed again from its counts and its card alone, bit by bit, years after the
catalogue that gave the prices is gone; and because a charge is linear in its counts, the lines of a
whole day follow from a day's sum and the card.

The text is JSON: for input and output the claims in the order in which they are served, each with
its rate and its list rate in 10^-12 of the currency a token; the fee a call; the units beside.
"""

from __future__ import annotations

import json
from typing import Any

from agentspec_usage.metering.counts import COMPONENTS
from agentspec_usage.pricing.rates import Claim, PriceTier, TokenType, UnitPrices

__all__ = ["card_of", "read_card"]

_POSITIONS = {
    TokenType.CACHE_READ: "cache_read",
    TokenType.CACHE_WRITE: "cache_write_unspecified",
    TokenType.CACHE_WRITE_5M: "cache_write_5m",
    TokenType.CACHE_WRITE_30M: "cache_write_30m",
    TokenType.CACHE_WRITE_1H: "cache_write_1h",
    TokenType.CACHE_WRITE_12H: "cache_write_12h",
    TokenType.AUDIO_IN: "audio_in",
    TokenType.IMAGE_IN: "image_in",
    TokenType.AUDIO_OUT: "audio_out",
    TokenType.IMAGE_OUT: "image_out",
}


def card_of(prices: UnitPrices, above: int) -> str:
    """The card of the tier that begins at ``above``."""
    tier = next(tier for tier in prices.tiers if tier.above == above)
    document = {
        "call": None if tier.call is None else [tier.call, tier.list_call],
        "input": [[claim.type, claim.rate, claim.list_rate] for claim in tier.input],
        "mixes": int(tier.mixes),
        "output": [[claim.type, claim.rate, claim.list_rate] for claim in tier.output],
        "units": [list(unit) for unit in prices.units],
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def read_card(text: str, *, sku: str, price_id: str, currency: str, above: int) -> UnitPrices:
    """The prices of a card; they have the one tier, which is the tier of every call."""
    document = json.loads(text)
    call = document["call"] or (None, None)
    tier = PriceTier(
        above,
        tuple(_claim(*each) for each in document["input"]),
        tuple(_claim(*each) for each in document["output"]),
        call[0],
        call[1],
        bool(document["mixes"]),
    )
    units = tuple((name, rate, listed) for name, rate, listed in document["units"])
    return UnitPrices(sku, price_id, currency, (tier,), units)


def _claim(type_: str, rate: Any, list_rate: Any) -> Claim:
    token_type = TokenType(type_)
    component = _POSITIONS.get(token_type, token_type.value)
    return Claim(token_type, COMPONENTS.index(component), rate, list_rate)
