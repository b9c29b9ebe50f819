"""The bundled catalogue: which price a call has, and when it has none."""

from __future__ import annotations

import pytest
from genai_prices.data import providers
from genai_prices.types import ModelPrice

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricebook.catalogue import bundled_catalogue
from agentspec_usage.pricebook.catalogue_rates import IGNORED_KEYS, PRICE_KEYS
from agentspec_usage.pricing.book import Unpriced, UnpricedReason
from agentspec_usage.pricing.charge import ChargeStatus
from agentspec_usage.pricing.rates import Doubt, UnitPrices
from agentspec_usage.runtime.clock import from_rfc3339
from tests.unit.pricebook.calls import NOVEMBER, call_price, charged

COUNTS = TokenCounts(1000, 1000, calls=1)


@pytest.mark.parametrize(
    ("provider", "model", "reason"),
    [
        pytest.param("ollama", "llama3.3:70b", UnpricedReason.SELF_HOSTED, id="Ollama"),
        pytest.param("vLLM", "gpt-oss-120b", UnpricedReason.SELF_HOSTED, id="vLLM"),
        pytest.param(
            "openai-compatible", "gpt-5", UnpricedReason.SELF_HOSTED, id="OpenAI's dialect"
        ),
        pytest.param("acme", "gpt-5", UnpricedReason.UNKNOWN_PROVIDER, id="a stranger"),
        pytest.param("openai", "nonesuch", UnpricedReason.UNKNOWN_MODEL, id="a new model"),
        pytest.param("", "nonesuch", UnpricedReason.UNKNOWN_MODEL, id="nothing but a name"),
    ],
)
def test_what_has_no_price_has_a_reason(provider: str, model: str, reason: UnpricedReason) -> None:
    assert call_price(provider, model, COUNTS) == Unpriced(reason)


def test_tokens_of_bought_capacity_have_no_price_each() -> None:
    found = call_price(
        "gcp.vertex_ai", "gemini-2.5-pro", COUNTS, service_tier="PROVISIONED_THROUGHPUT"
    )
    assert found == Unpriced(UnpricedReason.PROVISIONED)


@pytest.mark.parametrize(
    ("provider", "same_as"),
    [
        pytest.param("azure.ai.openai", "azure", id="Azure OpenAI"),
        pytest.param("aws.bedrock", "aws", id="Bedrock"),
        pytest.param("gcp.vertex_ai", "google", id="Vertex AI"),
        pytest.param("gcp.gemini", "google", id="Gemini"),
        pytest.param("gcp.gen_ai", "google", id="Google"),
        pytest.param("mistral_ai", "mistral", id="Mistral"),
        pytest.param("x_ai", "x-ai", id="xAI"),
        pytest.param("moonshot_ai", "moonshotai", id="Moonshot"),
    ],
)
def test_opentelemetrys_names_mean_one_provider_for_certain(provider: str, same_as: str) -> None:
    listed = next(entry for entry in providers if entry.id == same_as)
    model = next(
        model.id
        for model in listed.models
        if isinstance(call_price(same_as, model.id, TokenCounts(5, calls=1)), Unpriced) is False
    )
    book = bundled_catalogue()
    found = book.find(SeriesKey(provider, model), NOVEMBER)
    assert isinstance(found, UnitPrices)
    assert found.doubts == ()
    assert found == book.find(SeriesKey(same_as, model), NOVEMBER)


def test_a_guessed_provider_makes_an_estimate() -> None:
    for provider, model in (("", "gpt-5"), ("my-openai-gateway", "gpt-5")):
        assert charged(provider, model, COUNTS).doubts == (Doubt.PROVIDER,)
    routed = charged("litellm", "anthropic/claude-sonnet-4-5", COUNTS)
    assert routed.amount == charged("anthropic", "claude-sonnet-4-5", COUNTS).amount


def test_the_price_is_the_one_in_force_at_the_time_of_the_call() -> None:
    before, since = (
        charged("openai", "gpt-5.6-sol", COUNTS, at=from_rfc3339(day)).amount
        for day in ("2026-08-20T23:59:59.999Z", "2026-08-21T00:00:00Z")
    )
    # (5 + 30) x 1,000 / 1,000,000, then (4 + 20)
    assert (str(before), str(since)) == ("0.035", "0.024")


@pytest.mark.parametrize(
    ("hour", "dollars"),
    [
        pytest.param("00:59:59.999", "0.00075", id="before the first peak"),
        pytest.param("01:00:00", "0.0015", id="in the first peak"),
        pytest.param("04:00:00", "0.00075", id="between the peaks"),
        pytest.param("09:59:59.999", "0.0015", id="in the second peak"),
        pytest.param("10:00:00", "0.00075", id="after the second peak"),
    ],
)
def test_a_price_by_the_hour_of_the_day_is_the_hour_of_the_call(hour: str, dollars: str) -> None:
    at = from_rfc3339(f"2026-11-01T{hour}Z")
    assert str(charged("deepseek", "deepseek-v4-flash", COUNTS, at=at).amount) == dollars


@pytest.mark.parametrize(
    ("provider", "model", "tier", "dollars"),
    [
        pytest.param("openai", "gpt-5.6-sol", "default", "0.024", id="OpenAI's default"),
        pytest.param("openai", "gpt-5.6-sol", "flex", "0.012", id="OpenAI flex"),
        pytest.param("openai", "gpt-5.6-sol", "priority", "0.048", id="OpenAI priority"),
        pytest.param("anthropic", "claude-sonnet-4-5", "standard", "0.018", id="standard"),
        pytest.param("anthropic", "claude-sonnet-4-5", "batch", "0.009", id="Anthropic batch"),
        pytest.param("anthropic", "claude-opus-5", "fast", "0.06", id="Anthropic fast"),
        pytest.param("gcp.vertex_ai", "gemini-2.5-pro", "ON_DEMAND", "0.01125", id="on demand"),
    ],
)
def test_a_service_tier_has_the_price_published_for_it(
    provider: str, model: str, tier: str, dollars: str
) -> None:
    found = charged(provider, model, COUNTS, service_tier=tier)
    assert (str(found.amount), found.status) == (dollars, ChargeStatus.EXACT)


def test_a_tier_or_batch_without_a_published_price_is_estimated_at_the_standard_one() -> None:
    standard = charged("cohere", "command-r-plus", COUNTS)
    tier = charged("cohere", "command-r-plus", COUNTS, service_tier="whatever")
    batch = charged("cohere", "command-r-plus", COUNTS, batch=True)
    assert standard.amount == tier.amount == batch.amount
    assert (tier.doubts, batch.doubts) == ((Doubt.SERVICE_TIER,), (Doubt.BATCH,))
    # What an agent claims is in no name of a price.
    assert standard.price_id == tier.price_id == batch.price_id


@pytest.mark.parametrize(
    ("model", "factor"),
    [
        pytest.param("claude-opus-4-6", 1.1, id="since Opus 4.6"),
        pytest.param("claude-sonnet-5", 1.1, id="a later one"),
        pytest.param("claude-haiku-4-5", 1.0, id="before"),
        pytest.param("claude-3-7-sonnet-latest", 1.0, id="long before"),
    ],
)
def test_inference_in_the_us_alone_costs_a_tenth_more(model: str, factor: float) -> None:
    # https://platform.claude.com/docs/en/build-with-claude/data-residency
    world = charged("anthropic", model, COUNTS, region="global")
    states = charged("anthropic", model, COUNTS, region="us")
    assert states.amount.pico * 10 == world.amount.pico * round(factor * 10)
    assert states.list_amount == states.amount


def test_searches_cost_the_same_in_every_region() -> None:
    search = {"web_search": 1}
    empty = TokenCounts(calls=1)
    found = charged("anthropic", "claude-opus-4-6", empty, region="us", requests=search)
    assert str(found.amount) == "0.01"


def test_units_are_charged_by_their_published_price_and_free_ones_not() -> None:
    empty = TokenCounts(calls=1)
    assert str(charged("mistral", "mistral-ocr-latest", empty, requests={"pages": 3}).amount) != "0"
    found = charged("anthropic", "claude-opus-4-6", empty, requests={"web_fetch": 2})
    assert (str(found.amount), found.unpriced) == ("0", ())
    found = charged("openai", "gpt-5", COUNTS, requests={"whatever": 1})
    assert found.unpriced == ("whatever",)


def test_made_up_names_do_not_fill_the_memory() -> None:
    book = bundled_catalogue()
    for number in range(5000):
        assert book.find(SeriesKey("cohere", f"nonesuch-{number}"), NOVEMBER) is None
    assert len(book._known) <= 4096
    tables = len(book._tables)
    for number in range(100):
        made_up = SeriesKey("openai", f"gpt-4o-{number:04}", service_tier=f"tier-{number}")
        book.find(made_up, NOVEMBER)
    assert len(book._tables) <= tables + 1


def test_every_price_in_the_catalogue_is_used_or_named_as_not_used() -> None:
    stated: set[str] = set()
    for provider in providers:
        for model in provider.models:
            entries = (
                [model.prices]
                if isinstance(model.prices, ModelPrice)
                else [entry.prices for entry in model.prices]
            )
            for prices in (*entries, *(v.prices for v in model.price_variants or ())):
                stated.update(key for key, price in prices.__dict__.items() if price is not None)
    assert stated <= PRICE_KEYS | IGNORED_KEYS


def test_one_price_id_means_one_table_of_numbers() -> None:
    book = bundled_catalogue()
    tables: dict[str, object] = {}
    for provider in providers:
        for model in provider.models:
            for tier in ("", "flex", "priority", "batch", "fast"):
                found = book.find(SeriesKey(provider.id, model.id, service_tier=tier), NOVEMBER)
                if isinstance(found, UnitPrices):
                    numbers = (found.currency, found.tiers, found.units)
                    assert tables.setdefault(found.price_id, numbers) == numbers
    assert len(tables) > 2000
