"""Pods are replaced, rolled out, scaled to zero and back, and hand their addresses on."""

from __future__ import annotations

import pytest

from agentspec_usage.metering.counts import sum_counts
from tests.fakes.agents import Network, Workers, holding
from tests.integration.operator.processes import Operator
from tests.integration.operator.team import Team, condition, numbers
from tests.integration.operator.waiting import until

pytestmark = pytest.mark.usefixtures("watching")


def _pods(crew: Team, name: str, expected: int, **deadline: float) -> dict[str, object]:
    """Wait until the object counts and expects so many pods."""

    def look() -> dict[str, object] | None:
        status = crew.status(name)
        usage = status.get("usage") or {}
        counted = (usage.get("podsObserved"), usage.get("podsExpected"))
        return status if counted == (expected, expected) else None

    what = f"{name} reads {expected} pods"
    return until(look, what, shown=lambda: crew.status(name), **deadline)


def test_a_rollout_that_changes_the_replica_count_keeps_every_token(crew: Team) -> None:
    agents = [Workers() for _ in range(5)]
    old = []
    for agent in agents[:2]:
        agent.call()
        old.append(crew.run(agent, "rolling"))
    crew.observe("rolling")
    crew.until_shows("rolling", sum_counts(agent.truth for agent in agents))
    for agent in agents[2:]:
        crew.run(agent, "rolling")
        agent.call(10, 1)
    _pods(crew, "rolling", 5)
    for name in old:
        crew.delete_pod(name)
    _pods(crew, "rolling", 3)
    for agent in agents[2:]:
        agent.call(10, 1)
    status = crew.until_shows("rolling", sum_counts(agent.truth for agent in agents))
    assert condition(status, "Ready") == ("True", "Metered")
    # The old pods never said that they ended: what they might have used last cannot be known.
    assert condition(status, "Complete") == ("False", "PodExitedUnscraped")


def test_scaled_to_zero_is_ready_and_keeps_its_numbers(crew: Team) -> None:
    first, second = Workers(), Workers()
    first.call()
    pod = crew.run(first, "sleeping")
    crew.observe("sleeping")
    before = crew.until_shows("sleeping", first)
    crew.delete_pod(pod)
    status = crew.until_condition("sleeping", "Ready", "True", "ScaledToZero")
    assert numbers(status) == numbers(before)
    second.call(5, 5)
    crew.run(second, "sleeping")
    status = crew.until_shows("sleeping", sum_counts([first.truth, second.truth]))
    assert condition(status, "Ready") == ("True", "Metered")
    assert status["usage"]["accountingEpoch"] == before["usage"]["accountingEpoch"]


def test_a_pod_that_ends_keeps_its_numbers_and_is_read_no_more(crew: Team) -> None:
    agent = Workers()
    agent.call()
    pod = crew.run(agent, "job")
    crew.observe("job")
    crew.until_shows("job", agent)
    crew.set_pod(pod, {"phase": "Succeeded"})
    status = crew.until_condition("job", "Ready", "True", "ScaledToZero")
    assert numbers(status)["totalTokens"] == 120
    asked = agent.answers
    crew.edit("job", costCenter="a tick at once")
    until(
        lambda: crew.status("job").get("observedGeneration") == 2, "the object was looked at again"
    )
    assert agent.answers == asked


def test_an_answer_that_arrives_after_its_pod_was_replaced_does_not_count(
    crew: Team, network: Network
) -> None:
    dying, new = Workers(), Workers()
    dying.call(1000, 0)
    slow = holding(dying)
    address = network.serve(slow)
    pod = crew.pod("replaced", address)
    crew.observe("replaced")
    assert slow.asked.wait(20)
    crew.delete_pod(pod)
    new.call(5, 0)
    crew.run(new, "replaced", name=pod)
    slow.release()
    status = crew.until_shows("replaced", new)
    # The old pod ran and ended before anything of it was read in time: that is said.
    status = crew.until_condition("replaced", "Complete", "False", "PodExitedUnscraped")
    assert numbers(status)["totalTokens"] == 5


def test_an_address_that_goes_to_another_agents_pod_takes_no_numbers_along(
    crew: Team, network: Network
) -> None:
    mine, others = Workers(), Workers()
    mine.call(100, 0)
    others.call(7, 0)
    address = network.serve(mine)
    pod = crew.pod("former", address)
    crew.observe("former")
    crew.observe("latter")
    crew.until_shows("former", mine)
    network.stop(address)
    network.serve(others, address)
    crew.delete_pod(pod)
    crew.pod("latter", address)
    crew.until_shows("latter", others)
    status = crew.until_condition("former", "Ready", "True", "ScaledToZero")
    assert numbers(status)["totalTokens"] == 100
    others.call(1, 0)
    status = crew.until_shows("latter", others)
    assert condition(status, "Complete") == ("True", "Exact")


def test_an_answer_from_the_next_owner_of_an_address_is_not_counted_for_the_last(
    crew: Team, network: Network, watching: Operator
) -> None:
    """The pod has lost its address while its scrape, now of the next owner, is under way."""
    others = Workers()
    others.call(7, 0)
    slow = holding(others)
    address = network.serve(slow)
    pod = crew.pod("evicted", address)
    crew.observe("evicted")
    assert slow.asked.wait(20)
    crew.set_pod(pod, {"podIP": None, "podIPs": None, "phase": "Running"})
    crew.pod("incoming", address)
    slow.release()
    until(
        lambda: any(
            line["message"].startswith("a reading was thrown away") and line["agent"] == "evicted"
            for line in watching.lines()
        ),
        "the reading is thrown away",
    )
    network.stop(address)
    network.serve(others, address)
    crew.observe("incoming")
    crew.until_shows("incoming", others)
    assert numbers(crew.status("evicted")).get("totalTokens", 0) == 0
