"""Two AgentObservations select one pod: the older one counts it, and the other says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.agents import Workers
from tests.integration.operator.processes import Operator, running
from tests.integration.operator.team import LABEL, Team, condition, numbers
from tests.integration.operator.waiting import until


def _younger(team: Team, name: str, **spec: object) -> None:
    """An object that is certainly younger: creation times have whole seconds."""
    time.sleep(1.1)
    team.observe(name, **spec)


def test_the_oldest_object_counts_and_hands_over_when_it_is_deleted(
    team: Team, operator: Operator
) -> None:
    agent = Workers()
    agent.call()
    team.run(agent, "shared")
    team.observe("shared")
    team.until_shows("shared", agent)
    _younger(team, "second", agentRef={"name": "shared"})
    status = team.until_condition("second", "Ready", "False", "Overlapping")
    assert condition(status, "SourcesAgree") == ("False", "Overlapping")
    assert numbers(status).get("totalTokens", 0) == 0
    agent.call()
    team.until_shows("shared", agent)
    assert numbers(team.status("second")).get("totalTokens", 0) == 0
    team.delete("shared")
    status = team.until_shows("second", agent)
    assert condition(status, "Ready") == ("True", "Metered")
    assert condition(status, "SourcesAgree") == ("True", "OneSource")


def test_an_object_that_overlaps_in_part_counts_the_rest(team: Team, operator: Operator) -> None:
    shared, own = Workers(), Workers()
    shared.call(100, 0)
    own.call(7, 0)
    team.run(shared, "narrow", labels={"tier": "llm"})
    team.run(own, "wide", labels={"tier": "llm"})
    team.observe("narrow")
    _younger(team, "wide", podSelector={"matchLabels": {"tier": "llm"}})
    team.until_shows("narrow", shared)
    status = team.until_shows("wide", own)
    assert condition(status, "Ready") == ("False", "Overlapping")
    assert condition(status, "Complete") == ("False", "Overlapping")


@pytest.mark.parametrize("older", [pytest.param(name, id=name) for name in ("aaa", "zzz")])
def test_after_a_restart_the_same_object_counts_the_pod(
    team: Team, account: Path, logs: Iterator[Path], older: str
) -> None:
    younger = {"aaa": "zzz", "zzz": "aaa"}[older]
    agent = Workers()
    agent.call()
    team.run(agent, "pod")
    team.observe(older, podSelector={"matchLabels": {LABEL: "pod"}})
    _younger(team, younger, agentRef={"name": "pod"})
    arguments = ("--no-leader-elect", f"--namespaces={team.namespace}")
    for _ in range(2):
        with running(account, next(logs), *arguments):
            team.until_condition(younger, "Ready", "False", "Overlapping")
            team.until_shows(older, agent)
        agent.call()
    assert numbers(team.status(younger)).get("totalTokens", 0) == 0


def test_a_spec_that_lets_go_of_a_pod_leaves_it_to_the_other(
    team: Team, operator: Operator
) -> None:
    agent = Workers()
    agent.call()
    team.run(agent, "moved")
    team.observe("first", agentRef={"name": "moved"})
    team.until_shows("first", agent)
    _younger(team, "moved")
    team.until_condition("moved", "Ready", "False", "Overlapping")
    kept = numbers(team.status("first"))
    team.edit("first", podSelector={"matchLabels": {LABEL: "nobody"}})
    status = team.until_shows("moved", agent)
    assert condition(status, "Ready") == ("True", "Metered")
    first = team.until_condition("first", "Ready", "True", "ScaledToZero")
    assert numbers(first) == kept
    agent.call()
    team.until_shows("moved", agent)
    until(lambda: numbers(team.status("first")) == kept, "the first object keeps its numbers")
