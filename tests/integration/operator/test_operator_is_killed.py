"""The operator dies at any point and another starts.

No token is counted twice, and none is lost that an agent still says.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.agents import Workers
from tests.integration.operator.processes import running
from tests.integration.operator.team import Team, condition, numbers, numbers_of
from tests.integration.operator.waiting import until


def _arguments(team: Team) -> tuple[str, ...]:
    return ("--no-leader-elect", f"--namespaces={team.namespace}")


def _fleet(team: Team, size: int) -> dict[str, Workers]:
    """Agents by name, each with a pod and an object."""
    fleet = {f"agent-{number:02}": Workers() for number in range(size)}
    for name, agent in fleet.items():
        agent.call()
        team.run(agent, name)
        team.observe(name)
    return fleet


def _totals(team: Team) -> dict[str, int]:
    """What stands in the namespace now, by object."""
    listed = team.client.get(team.path()).raise_for_status().json()["items"]
    return {
        o["metadata"]["name"]: numbers(o.get("status") or {}).get("totalTokens", 0) for o in listed
    }


@pytest.mark.parametrize("seed", [pytest.param(1, id="seed 1"), pytest.param(2, id="seed 2")])
def test_killed_again_and_again_under_load_it_ends_at_the_truth(
    team: Team, account: Path, logs: Iterator[Path], seed: int
) -> None:
    chance = random.Random(seed)
    fleet = _fleet(team, 12)
    highest: dict[str, int] = {}
    for _ in range(3):
        with running(account, next(logs), *_arguments(team)) as operator:
            end = time.monotonic() + chance.uniform(0.8, 5.0)
            while time.monotonic() < end:
                chance.choice(list(fleet.values())).call(chance.randrange(100), chance.randrange(9))
                time.sleep(0.02)
            operator.kill()
        shown = _totals(team)
        for name, agent in fleet.items():
            assert highest.get(name, 0) <= shown[name] <= agent.truth.total
        highest = shown
    with running(account, next(logs), *_arguments(team)):
        for name, agent in fleet.items():
            status = team.until_shows(name, agent)
            assert condition(status, "Ready") == ("True", "Metered")
            assert condition(status, "Complete") == ("True", "Exact")


def test_killed_while_pods_are_replaced_it_counts_none_twice_and_says_what_may_be_missing(
    team: Team, account: Path, logs: Iterator[Path]
) -> None:
    chance = random.Random(3)
    lives: list[Workers] = []
    pods: list[str] = []
    team.observe("churning")
    for _ in range(4):
        with running(account, next(logs), *_arguments(team)) as operator:
            end = time.monotonic() + chance.uniform(1.5, 4.0)
            while time.monotonic() < end:
                agent = Workers()
                agent.call(chance.randrange(1, 100), 0)
                lives.append(agent)
                pods.append(team.run(agent, "churning"))
                time.sleep(chance.uniform(0.0, 0.6))
                if len(pods) > 2:
                    team.delete_pod(pods.pop(0))
            operator.kill()
    with running(account, next(logs), *_arguments(team)) as operator:
        operator.wait_until_ready()
        status = team.until_condition("churning", "Ready", "True", "Metered")
    truth = sum(agent.truth.total for agent in lives)
    alive = sum(agent.truth.total for agent in lives[-len(pods) :])
    shown = numbers(status)["totalTokens"]
    assert alive <= shown <= truth
    assert condition(status, "Complete") == ("False", "PodExitedUnscraped")


def test_sigterm_writes_what_was_read_before_it_ends(
    team: Team, account: Path, logs: Iterator[Path]
) -> None:
    fleet = _fleet(team, 30)
    flags = {"write_budget": 5}
    with running(account, next(logs), *_arguments(team), settings=flags) as operator:
        operator.wait_until_ready()
        until(
            lambda: all(agent.answers for agent in fleet.values()),
            "every agent was read",
            shown=None,
        )
        assert sum(1 for total in _totals(team).values() if total) < len(fleet)
        assert operator.terminate() == 0
    shown = _totals(team)
    assert shown == {name: agent.served.total for name, agent in fleet.items()}


def test_killed_in_the_middle_of_its_last_writes_the_next_one_completes_them(
    team: Team, account: Path, logs: Iterator[Path]
) -> None:
    fleet = _fleet(team, 30)
    flags = {"write_budget": 5}
    with running(account, next(logs), *_arguments(team), settings=flags) as operator:
        operator.wait_until_ready()
        until(lambda: all(agent.answers for agent in fleet.values()), "every agent was read")
        operator.send(signal.SIGTERM)
        before = sum(1 for total in _totals(team).values() if total)
        until(lambda: sum(1 for t in _totals(team).values() if t) > before, "a write of the flush")
        operator.kill()
    assert any(total == 0 for total in _totals(team).values())
    for agent in fleet.values():
        agent.call()
    with running(account, next(logs), *_arguments(team)):
        for name, agent in fleet.items():
            status = team.until_shows(name, agent)
            assert numbers(status) == numbers_of(agent.truth)
            assert condition(status, "Complete") == ("True", "Exact")


def test_a_second_sigterm_changes_nothing(team: Team, account: Path, logs: Iterator[Path]) -> None:
    fleet = _fleet(team, 3)
    with running(account, next(logs), *_arguments(team)) as operator:
        operator.wait_until_ready()
        for name, agent in fleet.items():
            team.until_shows(name, agent)
        operator.send(signal.SIGTERM)
        assert operator.terminate() == 0
        assert operator.lines()[-1]["message"] == "operator stopped"
