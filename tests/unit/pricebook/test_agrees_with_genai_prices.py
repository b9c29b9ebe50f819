"""Every model of the catalogue, priced by us and by the library that the data comes from.

The two differ on purpose in what these tests name, and in nothing else: the library counts tokens
without any price as free, and it multiplies by prices with the noise of floats in them, which we
round to 10^-12 a token.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers
from genai_prices.types import ModelInfo, Provider

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.pricebook.provider_names import is_self_hosted
from agentspec_usage.pricing.book import Unpriced, UnpricedReason
from agentspec_usage.pricing.charge import Charge
from agentspec_usage.runtime.clock import from_rfc3339
from tests.unit.pricebook.calls import call_price

USAGES = [
    pytest.param(TokenCounts(1000, 500, calls=1), id="plain"),
    pytest.param(TokenCounts(1000, 500, cache_read=800, calls=1), id="cached"),
    pytest.param(
        TokenCounts(5000, 7, cache_read=11, cache_write_5m=13, cache_write_1h=17, calls=1),
        id="writes by lifetime",
    ),
    pytest.param(TokenCounts(5000, 7, cache_write_unspecified=4999, calls=1), id="writes"),
    pytest.param(TokenCounts(199_999, 3, calls=1), id="below the tiers' edges"),
    pytest.param(TokenCounts(600_001, 99, cache_read=300_000, calls=1), id="above all of them"),
    pytest.param(TokenCounts(1000, 500, reasoning=400, calls=1), id="reasoning"),
    pytest.param(TokenCounts(1000, 500, audio_in=70, audio_out=30, calls=1), id="audio"),
    pytest.param(TokenCounts(1000, 500, image_in=70, image_out=30, calls=1), id="images"),
]
MOMENTS = ("2025-06-01T03:00:00Z", "2026-11-01T12:00:00Z", "2026-11-01T02:30:00Z")


def usage_of(counts: TokenCounts) -> Usage:
    """The same call in the library's words."""
    written = counts.cache_write
    return Usage(
        input_tokens=counts.input,
        output_tokens=counts.output,
        cache_read_tokens=counts.cache_read,
        cache_write_tokens=written,
        cache_write_5m_tokens=counts.cache_write_5m,
        cache_write_1h_tokens=counts.cache_write_1h,
        output_reasoning_tokens=counts.reasoning,
        output_citation_tokens=0,
        input_audio_tokens=counts.audio_in,
        output_audio_tokens=counts.audio_out,
        input_image_tokens=counts.image_in,
        output_image_tokens=counts.image_out,
        cache_audio_read_tokens=0,
        cache_image_read_tokens=0,
        input_video_tokens=0,
        output_video_tokens=0,
        audio_seconds=0,
        input_audio_seconds=0,
    )


def their_amount(
    provider: Provider, model: ModelInfo, counts: TokenCounts, moment: str, context: dict[str, str]
) -> Decimal | None:
    """What the library says; None where it does not know its own model by its id."""
    try:
        found = calc_price(
            usage_of(counts),
            model.id,
            provider_id=provider.id,
            genai_request_timestamp=datetime.fromisoformat(moment),
            price_context=context,
        )
    except LookupError:
        return None
    return found.total_price


def assert_alike(found: Charge | Unpriced, theirs: Decimal | None, where: str) -> None:
    if theirs is None:
        assert found == Unpriced(UnpricedReason.UNKNOWN_MODEL), where
        return
    if isinstance(found, Unpriced):
        # Nothing of the call has a price: the library says that it is free.
        assert found.reason is UnpricedReason.NO_RATE, where
        assert theirs == 0, where
        return
    tokens = sum(line.quantity for line in found.lines)
    assert abs(found.amount.amount - theirs) <= Decimal(tokens) / 2 * Decimal("1E-12"), where
    has_noise = theirs != round(theirs, 12)
    assert has_noise or found.amount.amount == theirs, where


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("counts", USAGES)
def test_a_call_of_every_model_costs_the_same(counts: TokenCounts, moment: str) -> None:
    at = from_rfc3339(moment)
    priced = 0
    for provider in providers:
        if is_self_hosted(provider.id):
            continue
        for model in provider.models:
            found = call_price(provider.id, model.id, counts, at=at)
            theirs = their_amount(provider, model, counts, moment, {})
            assert_alike(found, theirs, f"{provider.id}/{model.id}")
            priced += isinstance(found, Charge)
    assert priced > 2000


@pytest.mark.parametrize(
    ("how", "context"),
    [
        pytest.param({"batch": True}, {"processing": "batch"}, id="batch"),
        pytest.param({"service_tier": "flex"}, {"service_tier": "flex"}, id="flex"),
        pytest.param({"service_tier": "priority"}, {"service_tier": "priority"}, id="priority"),
        pytest.param(
            {"service_tier": "fast"}, {"service_tier": "fast", "speed": "fast"}, id="fast"
        ),
    ],
)
def test_every_variant_costs_the_same(how: dict[str, object], context: dict[str, str]) -> None:
    counts = TokenCounts(300_000, 1000, cache_read=1000, cache_write_1h=50, calls=1)
    at = from_rfc3339(MOMENTS[1])
    variants = 0
    for provider in providers:
        for model in provider.models:
            if not model.price_variants:
                continue
            found = call_price(provider.id, model.id, counts, at=at, **how)  # type: ignore[arg-type]
            theirs = their_amount(provider, model, counts, MOMENTS[1], context)
            assert_alike(found, theirs, f"{provider.id}/{model.id}")
            variants += isinstance(found, Charge) and not found.doubts
    assert variants > 5
