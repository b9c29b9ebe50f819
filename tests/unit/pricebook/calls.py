"""Pricing a call by the bundled catalogue, for tests."""

from __future__ import annotations

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey, context_class
from agentspec_usage.pricebook.catalogue import bundled_catalogue
from agentspec_usage.pricing.book import PriceBook, Unpriced
from agentspec_usage.pricing.charge import NO_REQUESTS, Charge, price
from agentspec_usage.runtime.clock import from_rfc3339

NOVEMBER = from_rfc3339("2026-11-01T12:00:00Z")


def call_price(
    provider: str,
    model: str,
    counts: TokenCounts,
    *,
    at: int = NOVEMBER,
    book: PriceBook | None = None,
    service_tier: str = "",
    region: str = "",
    batch: bool = False,
    requests: dict[str, int] | None = None,
) -> Charge | Unpriced:
    """What one call costs."""
    key = SeriesKey(
        provider,
        model,
        service_tier=service_tier,
        region=region,
        batch=batch,
        context_class=context_class(counts.input),
    )
    return price(counts, requests or NO_REQUESTS, key, at, book or bundled_catalogue())


def charged(provider: str, model: str, counts: TokenCounts, **how: object) -> Charge:
    """The charge of a call that has one."""
    found = call_price(provider, model, counts, **how)  # type: ignore[arg-type]
    assert isinstance(found, Charge)
    return found
