"""A price book of one's own comes before the catalogue."""

from __future__ import annotations

import json

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.pricebook.catalogue import bundled_catalogue
from agentspec_usage.pricebook.price_file import PriceFile, read_price_book
from agentspec_usage.pricing.book import Unpriced, UnpricedReason
from agentspec_usage.pricing.charge import ChargeStatus
from agentspec_usage.runtime.clock import from_rfc3339
from tests.unit.pricebook.calls import call_price, charged

BOOK = """\
currency: USD
entries:
  - match: {provider: ollama, model: "llama3*"}
    note: what a GPU hour comes to
    tiers:
      - input: 0.10
        output: 0.20
        cachedInput: "0.01"
        cacheWrite: {5m: 0.3, unspecified: 0.4}
        requests: {calls: 50, web_search: 10000}
      - aboveInputTokens: 128000
        input: 0.5
        output: 1
  - match: {provider: openai, model: gpt-5, batch: true}
    from: 2026-01-01
    to: 2026-07-01T00:00:00+02:00
    tiers: [{input: 1, output: 1}]
    multiplier: 0.5
  - match: {provider: anthropic, model: "*"}
    multiplier: 0.8
"""

COUNTS = TokenCounts(1000, 1000, calls=1)


def book(text: str = BOOK) -> PriceFile:
    return read_price_book(text, bundled_catalogue())


def test_a_self_hosted_model_has_a_price_where_a_book_says_one() -> None:
    counts = TokenCounts(1000, 100, cache_read=200, cache_write_5m=10, cache_write_1h=20, calls=2)
    found = charged("ollama", "llama3.3:70b", counts, book=book(), requests={"web_search": 1})
    # 770 x 0.1 + 200 x 0.01 + 10 x 0.3 + 20 x 0.4 + 100 x 0.2 + 2 x 50 + 10,000
    assert str(found.amount) == "0.01021"
    assert found.status is ChargeStatus.EXACT
    unknown = call_price("ollama", "qwen3", counts, book=book())
    assert unknown == Unpriced(UnpricedReason.SELF_HOSTED)


def test_a_tier_of_the_book_holds_above_its_size() -> None:
    for size, dollars in ((128_000, "0.01285"), (128_001, "0.0640505")):
        counts = TokenCounts(size, calls=1)
        assert str(charged("ollama", "llama3", counts, book=book()).amount) == dollars


@pytest.mark.parametrize(
    ("at", "dollars"),
    [
        pytest.param("2025-12-31T23:59:59.999Z", "0.01125", id="before it begins"),
        pytest.param("2026-01-01T00:00:00Z", "0.001", id="from its first moment on"),
        pytest.param("2026-06-30T21:59:59.999Z", "0.001", id="to its last"),
        pytest.param("2026-06-30T22:00:00Z", "0.01125", id="and not after"),
    ],
)
def test_an_entry_holds_in_its_period_and_the_catalogue_outside(at: str, dollars: str) -> None:
    found = charged("openai", "gpt-5", COUNTS, at=from_rfc3339(at), batch=True, book=book())
    assert str(found.amount) == dollars


def test_a_discount_is_on_what_the_catalogue_says_and_shows_its_list_price() -> None:
    listed = charged("anthropic", "claude-sonnet-4-5", COUNTS)
    for how in ({}, {"batch": True}, {"service_tier": "whatever"}):
        paid = charged("anthropic", "claude-sonnet-4-5", COUNTS, book=book(), **how)
        plain = charged("anthropic", "claude-sonnet-4-5", COUNTS, **how)
        assert paid.amount.pico * 10 == plain.amount.pico * 8
        assert paid.list_amount == plain.amount
        assert paid.doubts == plain.doubts
        assert paid.price_id != plain.price_id
    assert listed.amount == listed.list_amount


def test_a_multiplier_beside_tiers_makes_these_the_list_price() -> None:
    found = charged(
        "openai", "gpt-5", COUNTS, at=from_rfc3339("2026-02-01T00:00:00Z"), batch=True, book=book()
    )
    assert (str(found.amount), str(found.list_amount)) == ("0.001", "0.002")


def test_what_no_entry_matches_is_the_catalogues() -> None:
    assert charged("openai", "gpt-5", COUNTS, book=book()) == charged("openai", "gpt-5", COUNTS)


def test_the_first_entry_that_matches_decides() -> None:
    text = """
currency: USD
entries:
- match: {model: gpt-5}
  tiers: [{input: 1, output: 2}]
- match: {model: "gpt-*"}
  tiers: [{input: 5, output: 6}]
"""
    assert str(charged("openai", "GPT-5", COUNTS, book=book(text)).amount) == "0.003"
    assert str(charged("openai", "gpt-5-mini", COUNTS, book=book(text)).amount) == "0.011"


def test_the_same_book_as_json_gives_the_same_charges() -> None:
    document = {
        "currency": "EUR",
        "entries": [{"match": {"model": "m*"}, "tiers": [{"input": 0.25, "output": 1e-2}]}],
    }
    yaml = "currency: EUR\nentries:\n- match: {model: 'm*'}\n  tiers: [{input: 0.25, output: 0.01}]"
    for text in (json.dumps(document), json.dumps(document, indent="\t"), yaml):
        found = charged("acme", "m1", COUNTS, book=book(text))
        assert (str(found.amount), found.amount.currency) == ("0.00026", "EUR")


def test_the_version_names_the_content_and_the_catalogue() -> None:
    assert book().version == book().version
    assert book().version != book(BOOK + "\n").version
    assert book().version.endswith(bundled_catalogue().version)


def test_made_up_models_do_not_fill_the_memory() -> None:
    own = book()
    for number in range(5000):
        charged("anthropic", f"claude-sonnet-4-5-{number}", COUNTS, book=own)
    assert len(own._matching) <= 4096
