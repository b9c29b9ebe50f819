"""Whatever is known of an object, its status fits the definition, and a second look is the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.controller.pod_health import Health
from agentspec_usage.controller.status import Facts, build_status
from agentspec_usage.controller.verdict import Problem
from agentspec_usage.metering.checkpoint import (
    AccruedCost,
    Checkpoint,
    PodIdentity,
    Source,
    fold,
    new_checkpoint,
    observe,
)
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.pricing.money import PICO
from agentspec_usage.status.charges import Charges, Period
from agentspec_usage.status.usage import meaning
from agentspec_usage.wire.observed_answer import CostSaid, LedgerSaid, PeriodSaid
from agentspec_usage.wire.writer_state import pack
from tests.contract.crd_schema import validate_status

NOW = 1_795_348_800_000

counts = st.builds(
    TokenCounts,
    input=st.integers(0, MAX_COUNT),
    output=st.integers(0, MAX_COUNT),
    cache_read=st.integers(0, MAX_COUNT),
    calls=st.integers(0, MAX_COUNT),
    unmetered_calls=st.integers(0, MAX_COUNT),
)

snapshots = st.builds(
    UsageSnapshot,
    totals=counts,
    rows=st.lists(
        st.builds(SeriesRow, st.builds(SeriesKey, st.just("p"), st.sampled_from("abc")), counts),
        max_size=3,
    ).map(tuple),
    instance_id=st.sampled_from([None, "a" * 32, "b" * 32]),
    window_started_at=st.none() | st.integers(0, NOW),
    final=st.booleans(),
    upper_tokens=st.none() | st.integers(0, MAX_COUNT),
    invalid_calls=st.integers(0, 3),
)

pods = st.sampled_from(
    [PodIdentity(f"{number}1111111-1111-4111-8111-111111111111", number) for number in range(3)]
)


@st.composite
def checkpoints(draw: st.DrawFn) -> Checkpoint:
    checkpoint = new_checkpoint("2026-11-22T12:00:00.000Z.0123abcd")
    for pod, snapshot in draw(st.lists(st.tuples(pods, snapshots), max_size=5)):
        checkpoint = observe(checkpoint, pod, UsageReading((snapshot,)), NOW)
    gone = draw(st.sets(pods, max_size=2))
    return fold(checkpoint, {pod.uid for pod in gone})


numbers = st.integers(0, 100)
healths = st.builds(
    Health,
    *[numbers] * 9,
    failure=st.text(max_size=2000),
    sources=st.frozensets(st.sampled_from(Source)),
)
problems = st.builds(
    Problem, st.sampled_from(["Suspended", "InvalidSpec", "NoUsageSource"]), st.text(max_size=2000)
)


def facts(
    checkpoint: Checkpoint,
    health: Health | None,
    problem: Problem | None,
    previous: dict[str, object],
    charges: Charges | None = None,
) -> Facts:
    packed, text = pack(checkpoint)
    return Facts(
        generation=2,
        checkpoint=packed,
        writer_state=text,
        health=health,
        problem=problem,
        target={"kind": "Pod", "name": "agent"},
        previous=previous,
        last_update=NOW,
        last_read=NOW,
        tampered_epoch=None,
        now=NOW,
        charges=charges,
        cost_center="rd-4711",
        ledger=LedgerSaid(7, "ab" * 32, "key-1", NOW),
    )


costs = st.builds(
    CostSaid,
    st.sampled_from(["Exact", "Estimated"]),
    st.integers(-(10**30), 10**30),
    st.just("USD"),
    st.integers(0, MAX_COUNT),
) | st.just(CostSaid("Unpriced", unpriced_tokens=5))
periods = st.builds(
    Period,
    st.builds(PeriodSaid, st.integers(0, MAX_COUNT), st.none() | costs),
    st.integers(0, NOW),
)
charges = st.builds(
    Charges, st.none() | costs, st.none() | periods, st.none() | periods, st.integers(0, MAX_COUNT)
) | st.just(Charges(charged_as="n" * 253))


@settings(max_examples=150, deadline=None)
@given(checkpoints(), st.none() | healths, st.none() | problems, st.none() | charges)
def test_a_status_fits_the_definition_and_stays_as_it_is(
    checkpoint: Checkpoint,
    health: Health | None,
    problem: Problem | None,
    charged: Charges | None,
) -> None:
    first = build_status(facts(checkpoint, health, problem, {}, charged))
    validate_status(first)
    again = build_status(facts(checkpoint, health, problem, first, charged))
    assert meaning(again) == meaning(first)


def test_what_is_charged_as_another_agent_costs_what_the_operator_says_and_nothing_else() -> None:
    seen = observe(
        new_checkpoint("e"),
        PodIdentity("11111111-1111-4111-8111-111111111111", 1),
        UsageReading((UsageSnapshot(TokenCounts(input=5), instance_id="a" * 32),)),
        NOW,
    )
    counted = replace(seen, cost=AccruedCost("USD", PICO, 5))
    elsewhere = facts(counted, Health(1, 1), None, {}, Charges(charged_as="research"))
    usage = build_status(elsewhere)["usage"]
    assert usage["cost"] == {"status": "Estimated", "amount": "1", "currency": "USD"}
    assert (usage["chargedAs"], usage["display"]["cost"]) == ("research", "~$1.00")
    assert not usage.keys() & {"today", "month", "tail"}


def test_every_reason_is_one_that_the_definition_knows() -> None:
    checkpoint = observe(
        new_checkpoint("e"),
        PodIdentity("11111111-1111-4111-8111-111111111111", 1),
        UsageReading((UsageSnapshot(TokenCounts(input=1), instance_id="a" * 32),)),
        NOW,
    )
    status = build_status(facts(checkpoint, Health(1, 1), None, {}))
    status["usage"]["reasons"] = sorted(reason.value for reason in Reason)
    validate_status(status)
