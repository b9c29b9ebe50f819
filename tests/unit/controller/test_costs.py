"""What an agent's usage cost survives whatever happens to the operator."""

from __future__ import annotations

import pytest

from agentspec_usage.controller.costs import Costs
from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    PodIdentity,
    carry_over,
    fold,
    new_checkpoint,
    observe,
    totals,
)
from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.series import SeriesKey, context_class
from agentspec_usage.metering.snapshot import SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.pricebook.catalogue import bundled_catalogue
from agentspec_usage.pricing.money import Money
from agentspec_usage.runtime.clock import from_rfc3339
from agentspec_usage.wire.writer_state import pack, unpack

POD = PodIdentity("11111111-1111-4111-8111-111111111111", 1000)
NEXT_POD = PodIdentity("22222222-2222-4222-8222-222222222222", 2000)
NOVEMBER = from_rfc3339("2026-11-01T12:00:00Z")
COSTS = Costs(bundled_catalogue())


class Agent:
    """One process and its calls."""

    def __init__(self, instance: str = "a" * 32) -> None:
        self._instance = instance
        self._series: dict[SeriesKey, TokenCounts] = {}

    def call(self, size: int, output: int = 0, model: str = "gpt-5.5") -> Agent:
        key = SeriesKey("openai", model, context_class=context_class(size))
        self._series[key] = self._series.get(key, TokenCounts()) + TokenCounts(
            size, output, calls=1
        )
        return self

    def read(self) -> UsageReading:
        rows = tuple(SeriesRow(key, counts) for key, counts in self._series.items())
        whole = sum_counts(row.counts for row in rows)
        return UsageReading((UsageSnapshot(whole, rows, instance_id=self._instance),))


def scraped(cp: Checkpoint, agent: Agent, pod: PodIdentity = POD, at: int = NOVEMBER) -> Checkpoint:
    reading = agent.read()
    return COSTS.added(cp, observe(cp, pod, reading, at), at, reading)


def dollars(cp: Checkpoint) -> str:
    assert cp.cost.currency == "USD"
    return str(Money(cp.cost.pico))


def test_calls_of_both_tiers_cost_what_each_costs() -> None:
    agent = Agent()
    cp = scraped(new_checkpoint("e1"), agent.call(200_000, 1000))
    assert dollars(cp) == "1.03"
    cp = scraped(cp, agent.call(272_001, 1000))
    assert dollars(cp) == "3.79501"
    assert cp.cost.tokens == totals(cp).total
    # Large calls after small ones: the small ones do not get dearer.
    cp = scraped(cp, agent.call(200_000, 1000))
    assert dollars(cp) == "4.82501"


def test_reading_again_costs_nothing() -> None:
    agent = Agent().call(1000)
    cp = scraped(new_checkpoint("e1"), agent)
    assert scraped(cp, agent).cost is cp.cost


def test_a_rise_in_price_leaves_what_was_used_before_at_its_price() -> None:
    agent = Agent().call(1000, 1000, "gpt-5.6-sol")
    early, late = from_rfc3339("2026-08-20T23:00:00Z"), from_rfc3339("2026-08-21T01:00:00Z")
    cp = scraped(new_checkpoint("e1"), agent, at=early)
    assert dollars(cp) == "0.035"
    cp = scraped(cp, agent.call(1000, 1000, "gpt-5.6-sol"), at=late)
    assert dollars(cp) == "0.059"


def test_an_operator_that_starts_anew_goes_on_from_the_last_digit() -> None:
    agent = Agent().call(12_345, 678).call(1, 1, "gpt-5")
    cp = scraped(new_checkpoint("e1"), agent)
    again = unpack(pack(cp)[1])
    assert again.cost == cp.cost
    assert dollars(scraped(again, agent.call(1000))) == dollars(scraped(cp, agent))


def test_a_fold_keeps_the_cost_and_the_next_pod_adds_to_it() -> None:
    cp = scraped(new_checkpoint("e1"), Agent().call(1000))
    cp = scraped(fold(cp, [POD.uid]), Agent("b" * 32).call(1000), NEXT_POD)
    assert dollars(cp) == "0.01"


def test_after_a_conflict_the_cost_is_theirs_and_what_they_had_not_seen() -> None:
    agent = Agent().call(1000)
    shared = scraped(new_checkpoint("e1"), agent)
    theirs = scraped(shared, agent.call(1000))
    ours = scraped(shared, agent.call(300_000))
    merged = COSTS.added(theirs, carry_over(theirs, ours, NOVEMBER), NOVEMBER)
    assert merged.cost == ours.cost
    # Theirs stands for both where they have seen all of it.
    assert COSTS.added(ours, carry_over(ours, theirs, NOVEMBER), NOVEMBER).cost == ours.cost


@pytest.mark.parametrize(
    "model",
    [pytest.param("nonesuch", id="of no price"), pytest.param("", id="of no name")],
)
def test_tokens_without_a_price_are_counted_as_such(model: str) -> None:
    agent = Agent().call(1000).call(500, 0, model)
    cp = scraped(new_checkpoint("e1"), agent)
    assert (dollars(cp), cp.cost.tokens, totals(cp).total) == ("0.005", 1000, 1500)


def test_a_state_from_before_there_were_costs_is_unpriced_so_far() -> None:
    cp = observe(new_checkpoint("e1"), POD, Agent().call(1000).read(), NOVEMBER)
    grown = scraped(cp, Agent().call(1000).call(1000))
    assert (dollars(grown), grown.cost.tokens, totals(grown).total) == ("0.005", 1000, 2000)


def test_a_large_amount_fits_the_state() -> None:
    cp = scraped(new_checkpoint("e1"), Agent().call(2**50))
    assert cp.cost.pico > 2**63
    assert unpack(pack(cp)[1]).cost == cp.cost
