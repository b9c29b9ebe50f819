"""Which tier a call is in, and what can be known of a sum of calls."""

from __future__ import annotations

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import CONTEXT_THRESHOLDS, context_class
from agentspec_usage.pricing.charge import NO_REQUESTS, Charge, charge
from agentspec_usage.pricing.rates import Doubt, Rates
from tests.unit.pricing.rates import MICRO, prices

LOW, HIGH, TOP = Rates(MICRO, MICRO), Rates(2 * MICRO, 3 * MICRO), Rates(7 * MICRO, 9 * MICRO)


def found(
    counts: TokenCounts, size_class: int, *tiers: tuple[int, Rates]
) -> tuple[int, tuple[Doubt, ...]]:
    result = charge(counts, NO_REQUESTS, prices((0, LOW), *tiers), size_class)
    assert isinstance(result, Charge)
    return result.tier, result.doubts


@pytest.mark.parametrize("threshold", CONTEXT_THRESHOLDS)
def test_a_tier_begins_above_its_threshold_and_holds_for_every_token(threshold: int) -> None:
    for size, rates in ((threshold, LOW), (threshold + 1, HIGH)):
        counts = TokenCounts(size, 10, calls=1)
        result = charge(
            counts, NO_REQUESTS, prices((0, LOW), (threshold, HIGH)), context_class(size)
        )
        assert isinstance(result, Charge)
        assert result.amount.pico == size * (rates.input or 0) + 10 * (rates.output or 0)


@pytest.mark.parametrize("threshold", CONTEXT_THRESHOLDS)
def test_a_sum_is_in_the_tier_of_its_class_and_certain(threshold: int) -> None:
    above = TokenCounts(4 * (threshold + 1), calls=4)
    assert found(above, threshold, (threshold, HIGH)) == (threshold, ())
    below = TokenCounts(4 * threshold, calls=4)
    assert found(below, context_class(threshold), (threshold, HIGH)) == (0, ())


def test_the_size_of_one_call_is_known_whatever_threshold_a_price_has() -> None:
    assert found(TokenCounts(50_001, calls=1), 32_000, (50_000, HIGH)) == (50_000, ())
    assert found(TokenCounts(50_000, calls=1), 32_000, (50_000, HIGH)) == (0, ())


def test_a_threshold_inside_a_class_is_decided_by_the_average_call_and_doubted() -> None:
    doubt = (Doubt.CALL_SIZE,)
    assert found(TokenCounts(2 * 60_000, calls=2), 32_000, (50_000, HIGH)) == (50_000, doubt)
    assert found(TokenCounts(2 * 40_000, calls=2), 32_000, (50_000, HIGH)) == (0, doubt)


def test_a_threshold_above_every_class_leaves_the_highest_class_in_doubt() -> None:
    million = (1_000_000, TOP)
    many = TokenCounts(2 * 600_000, calls=2)
    assert found(many, 524_288, (200_000, HIGH), million) == (200_000, (Doubt.CALL_SIZE,))
    assert found(many, 524_288, (200_000, HIGH)) == (200_000, ())


def test_a_class_that_the_calls_cannot_have_is_not_believed() -> None:
    # AgentSpec's own dialect has no classes: each call is above the class that it came with.
    assert found(TokenCounts(2 * 300_000, calls=2), 0, (200_000, HIGH)) == (
        200_000,
        (Doubt.CALL_SIZE,),
    )


def test_calls_of_unknown_usage_do_not_make_the_others_smaller() -> None:
    counts = TokenCounts(300_000, calls=4, unmetered_calls=3)
    assert found(counts, 0, (200_000, HIGH))[0] == 200_000
