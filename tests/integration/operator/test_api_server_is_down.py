"""The API server is gone for a while. Agents count on, and so does the operator that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agentspec_usage.devcluster import Cluster
from tests.fakes.agents import Workers
from tests.integration.operator.processes import Operator
from tests.integration.operator.team import Team, condition
from tests.integration.operator.waiting import until


@contextmanager
def _without_api_server(cluster: Cluster) -> Iterator[None]:
    """The cluster is everybody's: it runs again after the block, whatever happens in it."""
    cluster.stop_apiserver()
    try:
        yield
    finally:
        cluster.start_apiserver()


def test_what_is_used_while_the_api_server_is_down_is_counted_once_when_it_is_back(
    team: Team, installed: Cluster, operator: Operator
) -> None:
    steady, restarted, fresh = Workers(), Workers(), Workers()
    for name, agent in (("steady", steady), ("restarted", restarted)):
        agent.call()
        team.run(agent, name)
        team.observe(name)
    for name, agent in (("steady", steady), ("restarted", restarted)):
        team.until_shows(name, agent)
    with _without_api_server(installed):
        steady.call()
        restarted.call()
        until(
            lambda: all(agent.served == agent.truth for agent in (steady, restarted)),
            "agents are read without the API server",
        )
    restarted.restart()
    restarted.call()
    steady.call()
    fresh.call()
    team.run(fresh, "fresh")
    team.observe("fresh")
    status = team.until_shows("steady", steady)
    assert condition(status, "Complete") == ("True", "Exact")
    team.until_shows("restarted", restarted)
    team.until_shows("fresh", fresh)
    assert not operator.ended()
    assert operator.ready()
