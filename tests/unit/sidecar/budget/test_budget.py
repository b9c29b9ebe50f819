"""A budget announces its soft thresholds once, and refuses at its hard limits."""

from __future__ import annotations

import pytest

from agentspec_usage.extraction.values import Extraction
from agentspec_usage.sidecar.budget.limits import Threshold
from agentspec_usage.sidecar.calls import EndedBy, ProxiedRequest, Refusal
from tests.unit.sidecar.budget.budgets import Spender
from tests.unit.sidecar.proxied import a_call, a_request, an_end


def refusal(begun: ProxiedRequest | Refusal) -> dict[str, object]:
    assert isinstance(begun, Refusal)
    assert begun.status == 403
    return dict(begun.document)


def test_a_call_at_the_limit_is_refused_with_the_reason() -> None:
    spender = Spender(hardTokens=100)
    spender.use(99)
    spender.use(1)
    document = refusal(spender.begin())
    error = document.pop("error")
    assert document == {
        "reason": "hardTokens",
        "limit": 100,
        "used": 100,
        "reserved": 0,
        "window": "utc-day",
        "windowEnds": "2026-09-22T00:00:00.000Z",
    }
    assert isinstance(error, dict)
    assert error["type"] == "budget_exceeded"
    assert "hardTokens 100, used 100, until 2026-09-22T00:00:00.000Z" in error["message"]


def test_what_calls_under_way_may_still_write_is_taken_as_used() -> None:
    spender = Spender(hardTokens=100)
    first = spender.open(output_limit=60)
    assert refusal(spender.begin(output_limit=50))["reserved"] == 60
    second = spender.open(output_limit=40)
    refusal(spender.begin())
    spender.settle(first, 10)
    # 10 used and 40 reserved: half of it is free again.
    third = spender.open(output_limit=50)
    refusal(spender.begin(output_limit=1))
    spender.settle(second, 0)
    spender.settle(third, 0)
    assert spender.budget.facts().reserved == 0


def test_a_call_whose_output_has_no_limit_is_admitted_while_anything_is_left() -> None:
    spender = Spender(hardTokens=100)
    spender.use(99)
    request = spender.open()
    spender.settle(request, 500)
    assert refusal(spender.begin())["used"] == 599


def test_a_negative_output_limit_lends_nothing() -> None:
    spender = Spender(hardTokens=100)
    spender.use(100)
    refusal(spender.begin(output_limit=-1000))
    spender.clock.pass_seconds(86_400)
    spender.open(output_limit=-1000)
    refusal(spender.begin(output_limit=101))


def test_requests_are_limited_with_those_under_way() -> None:
    spender = Spender(hardRequests=3)
    spender.use(1)
    first, _second = spender.open(), spender.open()
    assert refusal(spender.begin())["reason"] == "hardRequests"
    end = an_end(status=429, extraction=Extraction())
    spender.budget.settle(first, end, [])  # used nothing, and gives its place back
    spender.open()
    refusal(spender.begin())


@pytest.mark.parametrize(
    ("status", "ended_by", "extraction", "sent", "used"),
    [
        pytest.param(429, EndedBy.UPSTREAM, Extraction(), True, 0, id="refused by the provider"),
        pytest.param(None, EndedBy.UNREACHABLE, None, False, 0, id="never sent"),
        pytest.param(None, EndedBy.TIMEOUT, None, True, 1, id="sent, no answer"),
        pytest.param(502, EndedBy.UPSTREAM, None, True, 1, id="failed"),
        pytest.param(200, EndedBy.UPSTREAM, Extraction(unmetered=True), True, 1, id="no usage"),
        pytest.param(200, EndedBy.UPSTREAM, Extraction(), True, 0, id="a poll"),
    ],
)
def test_a_call_counts_when_it_may_have_used_something(
    status: int | None,
    ended_by: EndedBy,
    extraction: Extraction | None,
    sent: bool,
    used: int,
) -> None:
    spender = Spender(hardRequests=10)
    end = an_end(status=status, ended_by=ended_by, extraction=extraction, sent=sent)
    spender.budget.settle(spender.open(), end, [])
    facts = spender.budget.facts()
    assert (facts.used.requests, facts.under_way) == (used, 0)


def test_a_connection_that_goes_on_spends_as_its_calls_complete() -> None:
    spender = Spender(hardTokens=100, hardRequests=9)
    connection = spender.open()
    for _ in range(3):
        spender.budget.spend(connection, [a_call(30, 10)])
    assert refusal(spender.begin())["used"] == 120
    spender.budget.settle(connection, an_end(), [])
    assert spender.budget.facts().used.requests == 3


def test_what_is_not_metered_is_not_asked_about() -> None:
    spender = Spender(hardTokens=1)
    spender.use(5)
    models = a_request("models", method="GET", path="/v1/models", facts=None)
    assert spender.budget.admit(models) is None
    spender.budget.settle(models, an_end(extraction=None), [])
    assert spender.budget.facts().used.requests == 1
    assert spender.budget.facts().under_way == 0


def test_a_soft_threshold_is_announced_once_a_window() -> None:
    spender = Spender(softTokens=50, hardTokens=1000, softRequests=3)
    spender.use(49)
    assert spender.announced == []
    spender.use(1)
    spender.use(1)
    spender.use(1)
    assert [told["reason"] for told in spender.announced] == ["softTokens", "softRequests"]
    assert spender.announced[0]["used"] == 50
    spender.clock.pass_seconds(86_400)
    spender.use(60)
    assert [told["reason"] for told in spender.announced][2:] == ["softTokens"]


def test_a_hard_limit_is_announced_once_and_refuses_each_time() -> None:
    spender = Spender(hardTokens=10)
    spender.use(10)
    for _ in range(3):
        refusal(spender.begin())
    assert [told["reason"] for told in spender.announced] == ["hardTokens"]
    assert spender.budget.facts().refused == {Threshold.HARD_TOKENS: 3}


def test_an_output_limit_that_does_not_fit_is_not_the_end_of_the_budget() -> None:
    spender = Spender(hardTokens=100)
    spender.use(40)
    error = refusal(spender.begin(output_limit=61))["error"]
    assert isinstance(error, dict)
    assert "no room for an output of 61 tokens" in error["message"]
    assert spender.announced == []
    spender.use(60)
    refusal(spender.begin())
    assert [(told["reason"], told["used"]) for told in spender.announced] == [("hardTokens", 100)]


def test_a_new_window_begins_with_nothing_used() -> None:
    spender = Spender(hardTokens=10)
    spender.use(10)
    refusal(spender.begin())
    spender.clock.pass_seconds(86_400)
    spender.use(10)
    refusal(spender.begin())


def test_a_call_over_midnight_counts_where_it_ends() -> None:
    spender = Spender(hardTokens=10)
    over_night = spender.open(output_limit=10)
    spender.clock.pass_seconds(86_400)
    refusal(spender.begin())  # what is reserved is still under way
    spender.settle(over_night, 4)
    assert spender.budget.facts().used.tokens == 4


@pytest.mark.parametrize("seconds", [86_400, 10 * 365 * 86_400], ids=["a day", "ten years"])
def test_a_clock_that_steps_ahead_and_back_gives_nothing_away(seconds: int) -> None:
    spender = Spender(hardTokens=10)
    spender.use(10)
    spender.clock.pass_seconds(seconds)
    spender.use(3)
    spender.clock.pass_seconds(-seconds)
    assert refusal(spender.begin())["used"] == 10
    # And the days to come are days like any other.
    spender.clock.pass_seconds(86_400)
    for _ in range(12):
        spender.clock.pass_seconds(86_400)
        spender.use(10)
        refusal(spender.begin())
