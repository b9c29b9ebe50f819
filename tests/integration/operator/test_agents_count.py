"""What agents count arrives, whatever happens to their processes."""

from __future__ import annotations

import pytest

from tests.fakes.agents import Workers
from tests.integration.operator.team import Team, condition, numbers
from tests.integration.operator.waiting import until

pytestmark = pytest.mark.usefixtures("watching")


def test_the_total_goes_on_when_a_counter_starts_again_at_zero(crew: Team) -> None:
    agent = Workers()
    agent.call(1000, 200)
    crew.run(agent, "restarting")
    crew.observe("restarting")
    before = crew.until_shows("restarting", agent)
    assert condition(before, "Complete") == ("True", "Exact")
    agent.restart()
    agent.call(7, 3)
    after = crew.until_shows("restarting", agent)
    assert numbers(after)["totalTokens"] == 1210
    assert after["usage"]["accountingEpoch"] == before["usage"]["accountingEpoch"]
    assert condition(after, "Complete") == ("False", "AgentRestarted")
    assert after["usage"]["completeness"] == "LowerBound"


def test_what_a_process_used_after_the_last_reading_is_lost_and_said_to_be(crew: Team) -> None:
    agent = Workers()
    agent.call()
    crew.run(agent, "crashing")
    crew.observe("crashing")
    crew.until_shows("crashing", agent)
    agent.call(5, 5)
    agent.restart()
    agent.call()
    status = crew.until_condition("crashing", "Complete", "False", "AgentRestarted")
    shown = numbers(status)["totalTokens"]
    assert agent.served.total == shown
    assert agent.truth.total - shown in (0, 10)


@pytest.mark.parametrize(
    "together", [pytest.param(False, id="in turn"), pytest.param(True, id="in one answer")]
)
def test_workers_behind_one_port_are_each_counted_once(crew: Team, together: bool) -> None:
    name = "together" if together else "in-turn"
    agent = Workers(2, together=together)
    agent.call(100, 0, worker=0)
    agent.call(40, 0, worker=1)
    crew.run(agent, name)
    crew.observe(name)
    crew.until_shows(name, agent)
    agent.call(5, 0, worker=0)
    agent.call(1, 0, worker=1)
    status = crew.until_shows(name, agent)
    assert numbers(status)["totalTokens"] == 146
    assert condition(status, "Complete") == ("True", "Exact")


def test_one_model_name_at_two_providers_is_two_rows(crew: Team) -> None:
    agent = Workers()
    agent.call(100, 20, provider="openai", model="gpt-4o")
    agent.call(7, 3, provider="azure", model="gpt-4o")
    crew.run(agent, "two-providers")
    crew.observe("two-providers")
    status = crew.until_shows("two-providers", agent)
    rows = {(m["provider"], m["modelId"]): m["totalTokens"] for m in status["usage"]["models"]}
    assert rows == {("openai", "gpt-4o"): 120, ("azure", "gpt-4o"): 10}


def test_an_idle_agent_causes_no_write(crew: Team) -> None:
    agent = Workers()
    agent.call()
    crew.run(agent, "idle")
    crew.observe("idle")
    crew.until_shows("idle", agent)
    before = crew.get("idle")["metadata"]["resourceVersion"]
    asked = agent.answers
    until(lambda: agent.answers > asked, "the idle agent was read again")
    beside = Workers()
    beside.call()
    crew.run(beside, "busy")
    crew.observe("busy")
    crew.until_shows("busy", beside)
    assert crew.get("idle")["metadata"]["resourceVersion"] == before


def test_nothing_but_the_status_is_ever_written(crew: Team) -> None:
    agent = Workers()
    agent.call()
    crew.run(agent, "untouched")
    created = crew.observe("untouched")
    crew.until_shows("untouched", agent)
    found = crew.get("untouched")
    for volatile in ("resourceVersion", "managedFields"):
        created["metadata"].pop(volatile)
        found["metadata"].pop(volatile)
    assert found["metadata"] == created["metadata"]
    assert found["spec"] == created["spec"]
