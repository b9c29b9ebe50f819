"""What the control plane answers to observations arrives as it was said, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.pricing.money import Money
from agentspec_usage.wire.observed_answer import (
    AgentSaid,
    CostSaid,
    LedgerSaid,
    ObservedAnswer,
    PeriodSaid,
    decode_observed_answer,
    encode_observed_answer,
)

counts = st.integers(0, MAX_COUNT)
costs = st.builds(CostSaid, st.just("Unpriced"), st.just(0), st.just(""), counts) | st.builds(
    CostSaid,
    st.sampled_from(["Exact", "Estimated"]),
    st.integers(-(10**30), 10**30),
    st.sampled_from(["USD", "EUR"]),
    counts,
)
periods = st.builds(PeriodSaid, counts, st.none() | costs)
agents = st.builds(
    AgentSaid,
    st.just("team"),
    st.sampled_from(["a", "b"]),
    periods,
    periods,
    st.none() | costs,
    counts,
    counts,
    st.sampled_from(["", "research"]),
)
times = st.integers(0, 4_000_000_000_000)
ledgers = st.builds(LedgerSaid, counts, st.just("0f" * 32), st.just("key-1"), times)

ANSWER = ObservedAnswer(
    (
        AgentSaid(
            "team",
            "bot",
            PeriodSaid(5, CostSaid("Exact", 500_000_000_000, "USD")),
            PeriodSaid(),
            CostSaid("Estimated", 1, "USD", 2),
            3,
            1,
        ),
    ),
    1_795_392_000_000,
    1_796_083_200_000,
    LedgerSaid(7, "ab" * 32, "key-1", 1_795_348_800_000),
)


@given(
    st.builds(
        ObservedAnswer,
        st.lists(agents, max_size=3).map(tuple),
        times,
        times,
        st.none() | ledgers,
    )
)
def test_an_answer_arrives_as_it_was_said(answer: ObservedAnswer) -> None:
    assert decode_observed_answer(encode_observed_answer(answer)) == answer


def test_the_answer_has_the_shape_that_is_documented() -> None:
    assert json.loads(encode_observed_answer(ANSWER)) == {
        "agents": [
            {
                "namespace": "team",
                "name": "bot",
                "today": {
                    "tokens": 5,
                    "cost": {"status": "Exact", "amount": "0.5", "currency": "USD"},
                },
                "month": {"tokens": 0, "cost": None},
                "cost": {
                    "status": "Estimated",
                    "amount": "0.000000000001",
                    "currency": "USD",
                    "unpricedTokens": 2,
                },
                "tail": {"tokens": 3, "calls": 1},
            }
        ],
        "todayEnds": "2026-11-23T00:00:00.000Z",
        "monthEnds": "2026-12-01T00:00:00.000Z",
        "ledger": {
            "size": 7,
            "root": "ab" * 32,
            "keyId": "key-1",
            "at": "2026-11-22T12:00:00.000Z",
        },
    }


@given(st.integers(-(10**30), 10**30))
def test_an_amount_is_written_as_money_is_everywhere(pico: int) -> None:
    said = AgentSaid("n", "a", PeriodSaid(), PeriodSaid(), CostSaid("Exact", pico, "USD"))
    written = json.loads(encode_observed_answer(ObservedAnswer((said,), 0, 0)))
    assert written["agents"][0]["cost"]["amount"] == str(Money(pico))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"agents": None}, id="no agents"),
        pytest.param({"todayEnds": "tomorrow"}, id="no time"),
        pytest.param({"monthEnds": None}, id="no end of the month"),
        pytest.param({"ledger": {"size": 1}}, id="half a head"),
        pytest.param(
            {"ledger": {"size": 1, "root": "AB" * 32, "keyId": "k", "at": "2026-11-22T12:00:00Z"}},
            id="no hash",
        ),
    ],
)
def test_an_answer_that_is_none_is_refused(change: dict[str, Any]) -> None:
    document = json.loads(encode_observed_answer(ANSWER)) | change
    with pytest.raises(WireError):
        decode_observed_answer(json.dumps(document).encode())


@pytest.mark.parametrize(
    "cost",
    [
        pytest.param({"status": "Exact"}, id="exact without an amount"),
        pytest.param({"status": "Exact", "amount": "1"}, id="no currency"),
        pytest.param(
            {"status": "Unpriced", "amount": "0", "currency": "USD"}, id="an amount without a price"
        ),
        pytest.param({"status": "Exact", "amount": 1.5, "currency": "USD"}, id="a float"),
        pytest.param({"status": "Exact", "amount": "1e3", "currency": "USD"}, id="an exponent"),
        pytest.param({"status": "Exact", "amount": "NaN", "currency": "USD"}, id="not a number"),
        pytest.param({"status": "Exact", "amount": "1", "currency": "usd"}, id="no currency code"),
    ],
)
def test_a_cost_that_is_none_is_refused(cost: dict[str, Any]) -> None:
    document = json.loads(encode_observed_answer(ANSWER))
    document["agents"][0]["cost"] = cost
    with pytest.raises(WireError) as caught:
        decode_observed_answer(json.dumps(document).encode())
    assert caught.value.path.startswith("agents[0].cost")
