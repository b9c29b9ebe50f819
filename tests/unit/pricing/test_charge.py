"""What a call costs: each token once, at the price of its type."""

from __future__ import annotations

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.pricing.book import Unpriced, UnpricedReason
from agentspec_usage.pricing.charge import NO_REQUESTS, Charge, ChargeStatus, charge
from agentspec_usage.pricing.rates import Doubt, Rates
from tests.unit.pricing.rates import MICRO, prices

PLAIN = Rates(input=3 * MICRO, output=15 * MICRO)
CACHED = Rates(
    input=3 * MICRO,
    output=15 * MICRO,
    cache_read=MICRO // 3,
    cache_write=4 * MICRO,
    cache_write_1h=6 * MICRO,
)
MEDIA = Rates(
    input=4 * MICRO,
    output=16 * MICRO,
    cache_read=MICRO,
    audio_in=32 * MICRO,
    audio_out=64 * MICRO,
    image_in=5 * MICRO,
    image_out=40 * MICRO,
)
REASONING = Rates(input=2 * MICRO, output=8 * MICRO, reasoning=3 * MICRO)


def quantities(found: Charge | Unpriced) -> dict[str, int]:
    assert isinstance(found, Charge)
    return {line.type: line.quantity for line in found.lines}


@pytest.mark.parametrize(
    ("rates", "counts", "expected"),
    [
        pytest.param(
            PLAIN,
            TokenCounts(100, 50, cache_read=30, reasoning=20, calls=1),
            {"input": 100, "output": 50},
            id="a type without a price of its own is part of its whole",
        ),
        pytest.param(
            CACHED,
            TokenCounts(
                1000,
                10,
                cache_read=500,
                cache_write_5m=100,
                cache_write_1h=200,
                cache_write_unspecified=50,
                calls=1,
            ),
            {
                "cacheWrite5m": 100,
                "cacheWrite1h": 200,
                "cacheWrite": 50,
                "cacheRead": 500,
                "input": 150,
                "output": 10,
            },
            id="cache writes by their time to live",
        ),
        pytest.param(
            MEDIA,
            TokenCounts(1000, 300, audio_in=200, image_in=300, audio_out=250, image_out=5, calls=1),
            {
                "audioIn": 200,
                "imageIn": 300,
                "input": 500,
                "audioOut": 250,
                "imageOut": 5,
                "output": 45,
            },
            id="media in and out",
        ),
        pytest.param(
            REASONING,
            TokenCounts(10, 50, reasoning=20, calls=1),
            {"input": 10, "reasoning": 20, "output": 30},
            id="reasoning, where it has a price of its own",
        ),
        pytest.param(
            CACHED,
            TokenCounts(0, 7, calls=1),
            {"output": 7},
            id="what was not used has no line",
        ),
    ],
)
def test_each_token_is_in_exactly_one_line(
    rates: Rates, counts: TokenCounts, expected: dict[str, int]
) -> None:
    assert quantities(charge(counts, NO_REQUESTS, prices((0, rates)), 0)) == expected


def test_a_write_of_a_time_to_live_without_a_price_costs_what_a_write_costs() -> None:
    counts = TokenCounts(30, cache_write_30m=10, cache_write_1h=20, calls=1)
    found = charge(counts, NO_REQUESTS, prices((0, CACHED)), 0)
    # 10 at $4 and 20 at $6 a million
    assert isinstance(found, Charge)
    assert str(found.amount) == "0.00016"


def test_tokens_that_are_cached_and_audio_are_paid_once_and_the_charge_is_an_estimate() -> None:
    counts = TokenCounts(1000, 0, cache_read=600, audio_in=700, calls=1)
    found = charge(counts, NO_REQUESTS, prices((0, MEDIA)), 0)
    assert quantities(found) == {"cacheRead": 600, "audioIn": 400}
    assert isinstance(found, Charge)
    assert found.doubts == (Doubt.OVERLAP,)
    assert found.status is ChargeStatus.ESTIMATED


def test_audio_and_cached_tokens_are_no_doubt_where_they_cost_the_same() -> None:
    counts = TokenCounts(1000, 0, cache_read=600, audio_in=300, calls=1)
    found = charge(counts, NO_REQUESTS, prices((0, CACHED)), 0)
    assert isinstance(found, Charge)
    assert found.status is ChargeStatus.EXACT


def test_a_fee_for_each_call_is_not_asked_for_unmetered_ones() -> None:
    rates = Rates(input=MICRO, output=MICRO, call=5000 * MICRO)
    found = charge(TokenCounts(10, calls=3, unmetered_calls=1), NO_REQUESTS, prices((0, rates)), 0)
    assert quantities(found) == {"input": 10, "calls": 2}
    assert isinstance(found, Charge)
    assert found.unpriced == ("unmeteredCalls",)


def test_units_are_charged_beside_the_tokens() -> None:
    book = prices((0, PLAIN), units=(("web_search", 10**10, 10**10),))
    found = charge(TokenCounts(calls=1), {"web_search": 3}, book, 0)
    assert isinstance(found, Charge)
    assert str(found.amount) == "0.03"


def test_what_a_gateway_answered_from_its_cache_costs_nothing_for_certain() -> None:
    found = charge(TokenCounts(calls=1), {"served_from_cache": 1}, prices((0, PLAIN)), 0)
    assert isinstance(found, Charge)
    assert (str(found.amount), found.status, found.unpriced) == ("0", ChargeStatus.EXACT, ())


@pytest.mark.parametrize(
    ("rates", "counts", "requests", "unpriced"),
    [
        pytest.param(
            Rates(input=MICRO), TokenCounts(5, 7, calls=1), {}, ("output",), id="no output price"
        ),
        pytest.param(PLAIN, TokenCounts(5, calls=1), {"x_search": 1}, ("x_search",), id="a unit"),
        pytest.param(
            PLAIN,
            TokenCounts(5, calls=2, unmetered_calls=1),
            {},
            ("unmeteredCalls",),
            id="a call of unknown usage",
        ),
    ],
)
def test_a_part_without_a_price_is_named_and_not_in_the_amount(
    rates: Rates, counts: TokenCounts, requests: dict[str, int], unpriced: tuple[str, ...]
) -> None:
    found = charge(counts, requests, prices((0, rates)), 0)
    assert isinstance(found, Charge)
    assert found.unpriced == unpriced
    assert found.amount.pico == counts.input * (rates.input or 0)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        pytest.param(TokenCounts(0, 9, calls=1), UnpricedReason.NO_RATE, id="nothing has a price"),
        pytest.param(
            TokenCounts(calls=1, unmetered_calls=1), UnpricedReason.UNMETERED, id="nothing is known"
        ),
    ],
)
def test_where_nothing_has_a_price_there_is_a_reason_and_no_zero(
    counts: TokenCounts, reason: UnpricedReason
) -> None:
    assert charge(counts, NO_REQUESTS, prices((0, Rates(input=MICRO))), 0) == Unpriced(reason)


def test_a_published_price_of_zero_is_a_price() -> None:
    found = charge(TokenCounts(9, 9, calls=1), NO_REQUESTS, prices((0, Rates(0, 0))), 0)
    assert isinstance(found, Charge)
    assert (str(found.amount), found.unpriced) == ("0", ())
