"""The status of an agent that pushes: what heartbeats and the store say, in the operator's form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.controlplane.remote_status import RemoteFacts, build_remote_status
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.models import ModelKey
from agentspec_usage.status.charges import NO_CHARGES, charges_of
from agentspec_usage.store.remote import RemoteAgent
from agentspec_usage.wire.heartbeat import HealthPhase
from agentspec_usage.wire.observed_answer import AgentSaid, CostSaid, LedgerSaid, PeriodSaid
from tests.contract.crd_schema import status_faults

NOW = 1_790_000_000_000
GPT = ModelKey("openai", "gpt-5-mini")
COUNTS = TokenCounts(input=1_000, output=200, cache_read=400, calls=4)
AGENT = RemoteAgent(
    "agt_1",
    "agentspec-remote",
    "research",
    NOW - 5_000,
    HealthPhase.HEALTHY,
    heard=1,
    totals=COUNTS,
    began_at=NOW - 60_000,
)


def built(
    agent: RemoteAgent = AGENT,
    previous: dict[str, Any] | None = None,
    *,
    suspended: bool = False,
    epoch: str = "first",
    **facts: Any,
) -> dict[str, Any]:
    """A status that the API server takes after ``previous``."""
    status = build_remote_status(
        RemoteFacts(agent, **{"models": {GPT: COUNTS}, "charges": NO_CHARGES, **facts}),
        previous or {},
        generation=3,
        suspended=suspended,
        new_epoch=epoch,
        now=NOW,
    )
    assert status_faults(status) == []
    return status


def condition(status: dict[str, Any], kind: str) -> tuple[str, str]:
    (found,) = [one for one in status["conditions"] if one["type"] == kind]
    return found["status"], found["reason"]


def test_an_agent_that_is_heard_has_its_numbers_by_model() -> None:
    status = built()
    usage = status["usage"]
    assert (status["phase"], status["lastChecked"]) == ("Healthy", "2026-09-21T14:13:15.000Z")
    assert (usage["totalTokens"], usage["totalCalls"]) == (1_200, 4)
    assert usage["models"][0]["modelId"] == "gpt-5-mini"
    assert (usage["source"], usage["completeness"]) == ("control-plane", "Exact")
    assert usage["display"] == {"tokens": "1.2k", "pods": "1/1", "cachedPercent": "40%"}
    for kind, reason in (
        ("Ready", "Metered"),
        ("UsageAvailable", "Metered"),
        ("Complete", "Exact"),
    ):
        assert condition(status, kind) == ("True", reason)


def test_what_it_is_charged_stands_beside_it() -> None:
    cost = CostSaid("Estimated", 3_428_250_000, "USD")
    said = AgentSaid("agentspec-remote", "research", PeriodSaid(), PeriodSaid(1_200, cost), cost)
    charges = charges_of(said, today_ends=NOW + 1, month_ends=NOW + 2)
    ledger = LedgerSaid(9, "0" * 64, "key", NOW)
    usage = built(charges=charges, ledger=ledger)["usage"]
    assert usage["cost"] == {"status": "Estimated", "amount": "0.00342825", "currency": "USD"}
    assert usage["display"]["month"] == "~$0.00342"
    assert usage["ledger"]["size"] == 9


@pytest.mark.parametrize(
    ("lives", "ready", "phase", "pods", "complete"),
    [
        pytest.param(
            {"heard": 2, "ended": 3}, ("True", "Metered"), "Degraded", "2/2", "Exact", id="heard"
        ),
        pytest.param(
            {"heard": 1, "silent": 1},
            *(("True", "Metered"), "Degraded", "1/1", "AgentRestarted"),
            id="one of two is gone",
        ),
        pytest.param(
            {"heard": 0, "silent": 2, "ended": 1},
            *(("False", "AgentUnreachable"), "Unknown", "0/2", "ScrapeFailed"),
            id="silent",
        ),
        pytest.param(
            {"heard": 0, "ended": 2},
            *(("True", "ScaledToZero"), "Degraded", "0/0", "Exact"),
            id="all said goodbye",
        ),
    ],
)
def test_the_lives_of_its_processes_say_how_it_is(
    lives: dict[str, Any], ready: tuple[str, str], phase: str, pods: str, complete: str
) -> None:
    status = built(replace(AGENT, phase=HealthPhase.DEGRADED, **lives))
    assert condition(status, "Ready") == ready
    assert status["phase"] == phase
    assert status["usage"]["display"]["pods"] == pods
    assert condition(status, "Complete")[1] == complete


def test_a_process_that_was_missed_once_stays_missed() -> None:
    missed = built(replace(AGENT, silent=1))
    later = built(AGENT, missed)
    assert later["usage"]["reasons"] == ["AgentRestarted"]
    assert later["usage"]["completeness"] == "LowerBound"


def test_what_a_source_does_not_report_is_not_made_up() -> None:
    assert {"score", "grade", "violations"}.isdisjoint(built())
    status = built(replace(AGENT, score=76, violations=2))
    assert (status["score"], status["grade"], status["violations"]) == (76, "B", 2)


def test_heartbeats_without_usage_make_no_number() -> None:
    status = built(replace(AGENT, totals=TokenCounts(), began_at=None), models={})
    assert "usage" not in status
    assert condition(status, "UsageAvailable") == ("False", "NoUsageSource")
    assert condition(status, "Complete") == ("Unknown", "NotScrapedYet")


def test_usage_whose_model_is_not_known_is_a_row_of_its_own() -> None:
    usage = built(models={GPT: TokenCounts(input=700, calls=2)})["usage"]
    assert [row["modelId"] for row in usage["models"]] == ["gpt-5-mini", "__unattributed__"]
    assert sum(row["totalTokens"] for row in usage["models"]) == usage["totalTokens"]
    assert usage["reasons"] == ["Truncated"]


def test_numbers_grow_in_their_epoch_and_a_store_that_knows_less_opens_another() -> None:
    first = built()
    grown = replace(AGENT, totals=COUNTS + COUNTS)
    assert built(grown, first, epoch="second")["usage"]["accountingEpoch"] == "first"
    restored = built(AGENT, built(grown, first), epoch="second")
    assert restored["usage"]["accountingEpoch"] == "second"
    assert restored["usage"]["totalTokens"] == 1_200


def test_a_status_edited_upwards_is_written_over_in_a_new_epoch() -> None:
    forged = built()
    forged["usage"] |= {"totalTokens": 9_200, "inputTokens": 9_000}
    assert built(AGENT, forged, epoch="second")["usage"]["totalTokens"] == 1_200


def test_a_suspended_object_keeps_its_numbers_as_they_stand() -> None:
    first = built()
    status = built(replace(AGENT, totals=COUNTS + COUNTS), first, suspended=True)
    assert status["usage"] == first["usage"]
    assert condition(status, "Ready") == ("True", "Suspended")


def test_fields_of_others_stay() -> None:
    status = built(AGENT, {"model": {"id": "openai/gpt-5-mini"}, "conditions": []})
    assert status["model"] == {"id": "openai/gpt-5-mini"}


def test_numbers_that_stand_keep_the_time_of_their_last_change() -> None:
    first = built()
    first["usage"]["lastUpdateTime"] = "2026-09-20T00:00:00.000Z"
    again = built(replace(AGENT, phase=HealthPhase.DEGRADED), first)
    assert again["usage"]["lastUpdateTime"] == "2026-09-20T00:00:00.000Z"
    grown = built(replace(AGENT, totals=COUNTS + COUNTS), first)
    assert grown["usage"]["lastUpdateTime"] == "2026-09-21T14:13:20.000Z"


COUNT = st.integers(0, MAX_COUNT)
AGENTS = st.builds(
    RemoteAgent,
    agent_id=st.just("agt_1"),
    namespace=st.just("agentspec-remote"),
    name=st.just("research"),
    last_seen=st.just(NOW),
    phase=st.sampled_from(HealthPhase),
    score=st.none() | st.integers(0, 100),
    violations=COUNT,
    heard=st.integers(0, 64),
    silent=st.integers(0, 64),
    ended=st.integers(0, 64),
    totals=st.builds(TokenCounts, input=COUNT, output=COUNT, calls=COUNT, unmetered_calls=COUNT),
    began_at=st.none() | st.just(NOW),
    rolled_back=st.booleans(),
    legacy=st.booleans(),
    cost_center=st.text(max_size=128),
)
CELLS = st.dictionaries(
    st.builds(ModelKey, st.text(max_size=20), st.text(min_size=1, max_size=40)),
    st.builds(TokenCounts, input=COUNT, output=COUNT, calls=COUNT),
    max_size=40,
)


@given(st.lists(st.tuples(AGENTS, CELLS, st.booleans()), min_size=1, max_size=4))
def test_whatever_agents_report_the_api_server_takes_each_status_after_the_other(
    steps: list[tuple[RemoteAgent, dict[ModelKey, TokenCounts], bool]],
) -> None:
    status: dict[str, Any] = {}
    for number, (agent, cells, suspended) in enumerate(steps):
        later = built(agent, status, suspended=suspended, epoch=f"epoch-{number}", models=cells)
        before, after = status.get("usage"), later.get("usage")
        assert after is not None or before is None
        if before and after and before["accountingEpoch"] == after["accountingEpoch"]:
            assert all(
                after[name] >= before[name] for name in before if name.endswith(("Tokens", "Calls"))
            )
        status = later
