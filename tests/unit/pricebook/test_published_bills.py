"""Calls whose price is known from elsewhere: computed by hand, or billed.

The fourth is Anthropic's own bill in github.com/BerriAI/litellm/issues/9812.
"""

from __future__ import annotations

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey, context_class
from agentspec_usage.pricebook.catalogue import bundled_catalogue
from agentspec_usage.pricing.charge import NO_REQUESTS, Charge, ChargeStatus, price
from tests.unit.pricebook.calls import NOVEMBER, charged


@pytest.mark.parametrize(
    ("provider", "model", "counts", "dollars"),
    [
        pytest.param(
            "openai",
            "gpt-5",
            TokenCounts(1000, 500, cache_read=800, reasoning=300, calls=1),
            "0.00535",
            id="OpenAI with cached input",
        ),
        pytest.param(
            "openai",
            "gpt-5.6-sol",
            TokenCounts(3025, 4, cache_write_unspecified=3022, calls=1),
            "0.015202",
            id="OpenAI with a cache write",
        ),
        pytest.param(
            "anthropic",
            "claude-sonnet-4-5",
            TokenCounts(1627, 97, 1000, cache_write_5m=23, cache_write_1h=100, calls=1),
            "0.00395325",
            id="Anthropic with writes of two lifetimes",
        ),
        pytest.param(
            "anthropic",
            "claude-3-7-sonnet-20250219",
            TokenCounts(12307, 550, cache_write_unspecified=12304, calls=1),
            "0.054399",
            id="Anthropic's bill",
        ),
        pytest.param(
            "gcp.gemini",
            "gemini-2.5-pro",
            TokenCounts(1030, 250, cache_read=800, reasoning=200, calls=1),
            "0.0028875",
            id="Gemini with thoughts and tool input",
        ),
        pytest.param(
            "gcp.vertex_ai",
            "gemini-2.5-pro",
            TokenCounts(262_960, 1744, cache_read=257_955, calls=1),
            "0.10316125",
            id="Gemini above 200,000 tokens",
        ),
        pytest.param(
            "aws.bedrock",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            TokenCounts(1100, 50, cache_read=1000, calls=1),
            "0.001485",
            id="Bedrock in a region",
        ),
        pytest.param(
            "aws.bedrock",
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            TokenCounts(1100, 50, cache_read=1000, calls=1),
            "0.00135",
            id="Bedrock everywhere",
        ),
        pytest.param(
            "mistral_ai",
            "mistral-large-latest",
            TokenCounts(1013, 30, cache_read=1008, calls=1),
            "0.002206",
            id="Mistral, which has no cache price",
        ),
        pytest.param(
            "cohere", "command-r-plus", TokenCounts(10, 20, calls=1), "0.000225", id="Cohere"
        ),
        pytest.param(
            "openai",
            "gpt-5.5",
            TokenCounts(272_000, 1000, calls=1),
            "1.39",
            id="as large as the lower tier goes",
        ),
        pytest.param(
            "openai",
            "gpt-5.5",
            TokenCounts(272_001, 1000, calls=1),
            "2.76501",
            id="one token larger",
        ),
    ],
)
def test_a_call_costs_what_was_published(
    provider: str, model: str, counts: TokenCounts, dollars: str
) -> None:
    found = charged(provider, model, counts)
    assert str(found.amount) == dollars
    assert found.status is ChargeStatus.EXACT
    assert found.unpriced == ()


def test_two_calls_in_one_sum_cost_what_they_cost_apart() -> None:
    key = SeriesKey("openai", "gpt-5.5", context_class=context_class(200_000))
    both = TokenCounts(400_000, 2000, calls=2)
    found = price(both, NO_REQUESTS, key, NOVEMBER, bundled_catalogue())
    assert isinstance(found, Charge)
    # As one call of 400,000 tokens they would cost 4.09.
    assert (str(found.amount), found.status) == ("2.06", ChargeStatus.EXACT)


def test_a_batch_costs_half() -> None:
    counts = TokenCounts(1000, 1000, calls=1)
    assert str(charged("openai", "gpt-5.5", counts).amount) == "0.035"
    assert str(charged("openai", "gpt-5.5", counts, batch=True).amount) == "0.0175"
