"""One entry of the catalogue as rates: its keys by our names, its tiers as whole tables.

The catalogue has tiers for each price; a call is in one tier for all of its prices. So every
threshold that any price has begins a table, with the price that each has there.
"""

from __future__ import annotations

from decimal import Decimal

from genai_prices.types import ModelPrice, TieredPrices

from agentspec_usage.pricing.money import pico_per_unit
from agentspec_usage.pricing.rates import PriceTier, Rates, price_tier

__all__ = ["IGNORED_KEYS", "PRICE_KEYS", "tiers_of", "units_of"]

_MILLION = 1_000_000

_TOKENS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_in",
    "output_audio_mtok": "audio_out",
    "input_image_mtok": "image_in",
    "output_image_mtok": "image_out",
}

_UNITS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("web_searches_kcount", 1000, ("web_search",)),
    ("storage_searches_kcount", 1000, ("file_search",)),
    ("social_searches_kcount", 1000, ("x_search",)),
    ("code_executions_kcount", 1000, ("code_execution", "code_interpreter")),
    ("rerank_searches_kcount", 1000, ("search_units",)),
    ("input_document_kpages", 1000, ("pages",)),
    ("input_mchars", _MILLION, ("characters",)),
    ("input_audio_hours", 3600, ("seconds",)),
    ("audio_hours", 3600, ("seconds",)),
)
"""What is billed beside tokens: the catalogue's key, for how many units, and a record's names."""

_CALL = "requests_kcount"

PRICE_KEYS = frozenset({*_TOKENS, *(key for key, _, _ in _UNITS), _CALL})

IGNORED_KEYS = frozenset(
    {
        # Which cached tokens were audio or image is not counted: they cost what cached text does.
        "cache_audio_read_mtok",
        "cache_image_read_mtok",
        # Not counted apart: video and citations cost what their whole does.
        "input_video_mtok",
        "output_video_mtok",
        "output_citation_mtok",
        # Units that no response reports.
        "input_annotated_document_kpages",
        "input_text_messages_kcount",
    }
)
"""Prices that nothing we count can use."""


def tiers_of(prices: ModelPrice) -> tuple[PriceTier, ...]:
    """A table for each threshold, ascending from zero."""
    stated = {
        name: price for key, name in _TOKENS.items() if (price := _stated(prices, key)) is not None
    }
    thresholds = {0}
    for price in stated.values():
        if isinstance(price, TieredPrices):
            thresholds.update(tier.start for tier in price.tiers)
    call = _stated(prices, _CALL)
    fee = None if call is None else pico_per_unit(_above(call, 0), 1000)
    tiers = []
    for above in sorted(thresholds):
        rates = {
            name: pico_per_unit(_above(price, above), _MILLION) for name, price in stated.items()
        }
        tiers.append(price_tier(above, Rates(**rates, call=fee)))
    return tuple(tiers)


def units_of(prices: ModelPrice) -> tuple[tuple[str, int, int], ...]:
    """Name, rate and list rate of what is billed beside tokens."""
    rates: dict[str, int] = {}
    for key, per, names in _UNITS:
        price = _stated(prices, key)
        if price is not None:
            for name in names:
                rates.setdefault(name, pico_per_unit(_above(price, 0), per))
    return tuple((name, rate, rate) for name, rate in sorted(rates.items()))


def _stated(prices: ModelPrice, key: str) -> Decimal | TieredPrices | None:
    price: Decimal | TieredPrices | None = prices.__dict__.get(key)
    return price


def _above(price: Decimal | TieredPrices, threshold: int) -> Decimal:
    """The price of a call that just exceeds ``threshold``."""
    if isinstance(price, Decimal):
        return price
    found = price.base
    for tier in price.tiers:
        if tier.start <= threshold:
            found = tier.price
    return found
