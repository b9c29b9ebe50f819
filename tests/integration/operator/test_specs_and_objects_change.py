"""Specs are edited, objects suspended, deleted and made again; the operator needs no restart."""

from __future__ import annotations

import signal

import pytest

from tests.fakes.agents import Workers
from tests.integration.operator.processes import Operator
from tests.integration.operator.team import Team, condition, numbers
from tests.integration.operator.waiting import until

pytestmark = pytest.mark.usefixtures("watching")


@pytest.mark.parametrize(
    ("spec", "repaired", "reason"),
    [
        pytest.param(
            {"podSelector": {"matchLabels": {"no key!": "x"}}},
            {"podSelector": None},
            "InvalidSpec",
            id="selector with a key that is none",
        ),
        pytest.param(
            {"agentRef": {"kind": "Deployment"}},
            {"agentRef": {"kind": None}},
            "NoUsageSource",
            id="workload that is not there",
        ),
        pytest.param(
            {"usagePath": "/elsewhere", "usagePort": 1999},
            {"usagePath": "/agentspec/usage", "usagePort": None},
            "AgentUnreachable",
            id="port where nobody listens",
        ),
    ],
)
def test_a_wrong_spec_is_a_condition_and_a_repaired_one_works(
    crew: Team, spec: dict[str, object], repaired: dict[str, object], reason: str
) -> None:
    agent = Workers()
    agent.call()
    name = f"repaired-{reason.lower()}-{len(str(spec))}"
    crew.run(agent, name)
    crew.observe(name)
    before = crew.until_shows(name, agent)
    crew.edit(name, **spec)
    status = crew.until_condition(name, "Ready", "False", reason)
    assert status["observedGeneration"] == 2
    assert numbers(status) == numbers(before)
    agent.call()
    crew.edit(name, **repaired)
    status = crew.until_shows(name, agent)
    assert condition(status, "Ready") == ("True", "Metered")


def test_a_suspended_object_is_not_read_and_goes_on_where_it_was(crew: Team) -> None:
    agent = Workers()
    agent.call()
    crew.run(agent, "paused")
    crew.observe("paused")
    before = crew.until_shows("paused", agent)
    crew.edit("paused", suspend=True)
    status = crew.until_condition("paused", "Ready", "True", "Suspended")
    assert numbers(status) == numbers(before)
    agent.call()
    other = Workers()
    other.call()
    crew.run(other, "running")
    crew.observe("running")
    crew.until_shows("running", other)
    asked = agent.answers
    served = other.answers
    until(lambda: other.answers >= served + 1, "another object's next slot")
    assert agent.answers == asked
    crew.edit("paused", suspend=False)
    status = crew.until_shows("paused", agent)
    assert condition(status, "Ready") == ("True", "Metered")
    assert condition(status, "Complete") == ("True", "Exact")


def test_an_object_made_again_under_its_name_counts_anew(crew: Team) -> None:
    agent = Workers()
    agent.call()
    crew.run(agent, "again")
    crew.observe("again")
    before = crew.until_shows("again", agent)
    crew.delete("again")
    crew.observe("again")
    after = crew.until_shows("again", agent)
    assert after["usage"]["accountingEpoch"] != before["usage"]["accountingEpoch"]
    agent.call()
    crew.until_shows("again", agent)


def test_an_object_of_the_control_plane_is_left_alone(crew: Team) -> None:
    agent, beside = Workers(), Workers()
    agent.call()
    beside.call()
    crew.run(agent, "pushing")
    created = crew.observe("pushing", source="control-plane")
    crew.run(beside, "beside")
    crew.observe("beside")
    crew.until_shows("beside", beside)
    beside.call()
    crew.until_shows("beside", beside)
    assert crew.get("pushing") == created
    assert agent.answers == 0


def test_an_object_that_names_another_agent_counts_both_and_never_falls(crew: Team) -> None:
    first, second = Workers(), Workers()
    first.call()
    second.call(1, 1)
    crew.run(first, "before")
    crew.run(second, "after")
    crew.observe("renamed", agentRef={"name": "before"})
    shown = crew.until_shows("renamed", first)
    crew.edit("renamed", agentRef={"name": "after"})
    status = until(
        lambda: (s := crew.status("renamed"))["usage"]["totalTokens"] == 122 and s,
        "the second agent's tokens are added",
        shown=lambda: crew.status("renamed"),
    )
    assert status["usage"]["accountingEpoch"] == shown["usage"]["accountingEpoch"]


def test_deletion_needs_no_operator(crew: Team, watching: Operator) -> None:
    agent = Workers()
    agent.call()
    crew.run(agent, "deleted")
    crew.observe("deleted")
    crew.until_shows("deleted", agent)
    watching.send(signal.SIGSTOP)
    try:
        crew.delete("deleted")
        assert not crew.exists("deleted")
        crew.observe("deleted")
    finally:
        watching.send(signal.SIGCONT)
    crew.until_shows("deleted", agent)
