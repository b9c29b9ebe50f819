"""Two operators at once.

By a Lease one works and the other waits; without one both write, and no number is wrong.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agentspec_usage.devcluster import Cluster
from tests.fakes.agents import Workers
from tests.integration.operator.processes import running
from tests.integration.operator.team import Team, condition
from tests.integration.operator.waiting import until


def test_two_that_write_the_same_objects_end_at_the_truth(
    team: Team, account: Path, logs: Iterator[Path]
) -> None:
    chance = random.Random(7)
    fleet = {f"agent-{number}": Workers() for number in range(5)}
    for name, agent in fleet.items():
        agent.call()
        team.run(agent, name)
        team.observe(name)
    arguments = ("--no-leader-elect", f"--namespaces={team.namespace}")
    with ExitStack() as stack:
        both = [stack.enter_context(running(account, next(logs), *arguments)) for _ in range(2)]
        for operator in both:
            operator.wait_until_ready()
        end = time.monotonic() + 8
        while time.monotonic() < end:
            chance.choice(list(fleet.values())).call(chance.randrange(100), 1)
            time.sleep(0.02)
        for name, agent in fleet.items():
            status = team.until_shows(name, agent)
            assert condition(status, "Complete") == ("True", "Exact")
        both[0].kill()
        for agent in fleet.values():
            agent.call()
        for name, agent in fleet.items():
            status = team.until_shows(name, agent)
            assert condition(status, "Complete") == ("True", "Exact")
        assert not both[1].ended()


def test_by_a_lease_one_works_and_another_takes_over_after_a_goodbye_and_after_a_kill(
    team: Team, installed: Cluster, account: Path, logs: Iterator[Path]
) -> None:
    agent = Workers()
    agent.call()
    team.run(agent, "led")
    team.observe("led")
    arguments = ("--lease-namespace=agentspec-system", f"--namespaces={team.namespace}")

    def holder() -> Any:
        path = "/apis/coordination.k8s.io/v1/namespaces/agentspec-system/leases"
        answer = team.client.get(f"{path}/agentspec-usage-operator")
        return answer.json()["spec"].get("holderIdentity") if answer.is_success else None

    with ExitStack() as stack:
        first = stack.enter_context(running(account, next(logs), *arguments, "--identity=first"))
        first.wait_until_ready()
        until(lambda: holder() == "first", "the first leads")
        second = stack.enter_context(running(account, next(logs), *arguments, "--identity=second"))
        team.until_shows("led", agent)
        until(second.ready, "the standby is ready as well")
        agent.call()
        assert first.terminate() == 0
        until(lambda: holder() == "second", "the second leads, at once", deadline=10)
        team.until_shows("led", agent)
        third = stack.enter_context(running(account, next(logs), *arguments, "--identity=third"))
        agent.call()
        second.kill()
        status = team.until_shows("led", agent)
        assert condition(status, "Complete") == ("True", "Exact")
        until(lambda: holder() == "third", "the third leads when the lease has run out")
        assert not third.ended()
