"""Somebody edits the status.

The API server refuses what falls; the operator finds the rest, says so and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.agents import Workers
from tests.integration.operator.processes import Operator, running
from tests.integration.operator.team import Team, condition, numbers, numbers_of
from tests.integration.operator.waiting import until

Edit = Callable[[dict[str, Any]], list[dict[str, Any]]]


def _replace(path: str, value: object) -> dict[str, Any]:
    return {"op": "replace", "path": f"/status/{path}", "value": value}


def _up(status: dict[str, Any]) -> list[dict[str, Any]]:
    total = status["usage"]["totalTokens"] + 1_000_000
    inputs = status["usage"]["inputTokens"] + 1_000_000
    return [_replace("usage/totalTokens", total), _replace("usage/inputTokens", inputs)]


def _down_in_an_epoch_of_its_own(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        _replace("usage/accountingEpoch", "forged"),
        _replace("usage/totalTokens", 3),
        _replace("usage/inputTokens", 2),
        _replace("usage/outputTokens", 1),
    ]


def _damaged(status: dict[str, Any]) -> list[dict[str, Any]]:
    text = status["writerState"]
    return [_replace("writerState", text[:10] + ("A" if text[10] != "A" else "B") + text[11:])]


def _removed(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"op": "remove", "path": "/status/writerState"}]


EDITS: dict[str, Edit] = {
    "upwards": _up,
    "downwards in a forged epoch": _down_in_an_epoch_of_its_own,
    "notes damaged": _damaged,
    "notes removed": _removed,
}


def _name_of(edit: Edit) -> str:
    return f"edited-{edit.__name__.strip('_').replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class Edited:
    """Objects with their agents, and each status as it was before the edit."""

    team: Team
    agents: dict[str, Workers]
    before: dict[str, dict[str, Any]]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("usage/totalCalls", id="one counter"),
        pytest.param("usage/cacheReadTokens", id="a counter at zero"),
    ],
)
def test_the_api_server_refuses_a_counter_that_falls(
    crew: Team, watching: Operator, path: str
) -> None:
    agent = Workers()
    agent.call()
    name = f"falling-{path.split('/')[1].lower()}"
    crew.run(agent, name)
    crew.observe(name)
    crew.until_shows(name, agent)
    assert crew.edit_status(name, [_replace(path, -1)]).status_code == 422
    assert crew.edit_status(name, [_replace("usage/outputTokens", 0)]).status_code == 422
    removed = crew.edit_status(name, [{"op": "remove", "path": "/status/usage"}])
    assert removed.status_code == 422


@pytest.mark.parametrize("edit", [pytest.param(e, id=name) for name, e in EDITS.items()])
def test_a_running_operator_restores_its_numbers_in_a_new_epoch(
    crew: Team, watching: Operator, edit: Edit
) -> None:
    agent = Workers()
    agent.call()
    name = _name_of(edit)
    crew.run(agent, name)
    crew.observe(name)
    before = crew.until_shows(name, agent)
    answer = crew.edit_status(name, edit(before))
    assert answer.is_success, answer.text
    status = crew.until_condition(name, "Complete", "False", "StatusTampered")
    assert numbers(status) == numbers_of(agent.truth)
    assert status["usage"]["accountingEpoch"] not in (
        before["usage"]["accountingEpoch"],
        "forged",
    )
    agent.call()
    status = crew.until_shows(name, agent)
    assert condition(status, "Complete") == ("False", "StatusTampered")
    assert condition(status, "Ready") == ("True", "Metered")


def test_a_condition_changed_by_hand_is_set_right_without_a_new_epoch(
    crew: Team, watching: Operator
) -> None:
    agent = Workers()
    agent.call()
    crew.run(agent, "painted")
    crew.observe("painted")
    before = crew.until_shows("painted", agent)
    crew.edit_status(
        "painted", [_replace("conditions/0/status", "False"), _replace("phase", "Unhealthy")]
    )
    status = crew.until_condition("painted", "Ready", "True", "Metered")
    status = until(
        lambda: (s := crew.status("painted"))["phase"] == "Healthy" and s,
        "the phase is set right",
        shown=lambda: crew.status("painted"),
    )
    assert status["usage"]["accountingEpoch"] == before["usage"]["accountingEpoch"]
    assert condition(status, "Complete") == ("True", "Exact")


@pytest.fixture(scope="module")
def edited(
    teams: Callable[[], Team], account: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edited]:
    """Objects whose status was edited after one operator had stopped, and another that runs now."""
    team = teams()
    agents = {_name_of(edit): Workers() for edit in EDITS.values()}
    logs = tmp_path_factory.mktemp("edited")
    arguments = ("--no-leader-elect", f"--namespaces={team.namespace}")
    for name, agent in agents.items():
        agent.call(1000, 0)
        team.run(agent, name)
        team.observe(name)
    with running(account, logs / "first.log", *arguments) as operator:
        before = {name: team.until_shows(name, agent) for name, agent in agents.items()}
        assert operator.terminate() == 0
    for edit in EDITS.values():
        name = _name_of(edit)
        answer = team.edit_status(name, edit(before[name]))
        assert answer.is_success, answer.text
    with running(account, logs / "second.log", *arguments):
        yield Edited(team, agents, before)


@pytest.mark.parametrize(
    ("edit", "kept"),
    [
        pytest.param(_up, 1000, id="upwards"),
        pytest.param(_down_in_an_epoch_of_its_own, 1000, id="downwards in a forged epoch"),
        pytest.param(_damaged, 0, id="notes damaged"),
        pytest.param(_removed, 0, id="notes removed"),
    ],
)
def test_an_edit_while_no_operator_ran_is_found_by_the_next(
    edited: Edited, edit: Edit, kept: int
) -> None:
    """With whole notes nothing is lost; without them the count starts at what was seen then."""
    name = _name_of(edit)
    status = edited.team.until_condition(name, "Complete", "False", "StatusTampered")
    assert numbers(status)["totalTokens"] == kept
    message = next(c["message"] for c in status["conditions"] if c["type"] == "Complete")
    epoch = edited.before[name]["usage"]["accountingEpoch"]
    assert ("forged" if edit is _down_in_an_epoch_of_its_own else epoch) in message
    edited.team.until_condition(name, "Ready", "True", "Metered")
    edited.agents[name].call(7, 0)
    until(
        lambda: numbers(edited.team.status(name))["totalTokens"] == kept + 7,
        "growth counts from there",
        shown=lambda: edited.team.status(name),
    )
