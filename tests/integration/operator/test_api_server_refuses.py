"""The API server refuses, throttles, loses answers, drops watches and is late.

Through all of it the numbers come out right, and no refusal becomes a loop of requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.agents import Network, Workers
from tests.fakes.faulty_proxy import EXPIRED, Fault, FaultyProxy
from tests.integration.operator.processes import Operator, running
from tests.integration.operator.team import Team, condition, numbers
from tests.integration.operator.waiting import until


@pytest.fixture(scope="module")
def proxy(account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyProxy]:
    with FaultyProxy(account, tmp_path_factory.mktemp("proxy") / "kubeconfig") as proxy:
        yield proxy


pytestmark = pytest.mark.usefixtures("watching")


@pytest.fixture(scope="module")
def kubeconfig(proxy: FaultyProxy) -> Path:
    return proxy.kubeconfig


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    return ("--sweep-interval=2",)


REFUSALS = [
    pytest.param("conflict", Fault("PATCH", "", 409, times=3), id="409"),
    pytest.param(
        "throttled", Fault("PATCH", "", 429, times=2, headers={"Retry-After": "1"}), id="429"
    ),
    pytest.param("unavailable", Fault("PATCH", "", 503, times=3), id="503"),
    pytest.param("lost", Fault("PATCH", "", 0, times=2, forwarded=True), id="answer lost"),
]


@pytest.mark.parametrize(("name", "fault"), REFUSALS)
def test_a_write_that_fails_is_made_again_until_it_stands(
    crew: Team, proxy: FaultyProxy, name: str, fault: Fault
) -> None:
    agent = Workers()
    agent.call()
    fault.path = f"/{name}/status"
    proxy.inject(fault)
    crew.run(agent, name)
    crew.observe(name)
    status = crew.until_shows(name, agent)
    agent.call()
    status = crew.until_shows(name, agent)
    until(lambda: fault.times == 0, "every fault was met")
    assert condition(status, "Ready") == ("True", "Metered")
    assert condition(status, "Complete") == ("True", "Exact")


def test_a_status_that_the_schema_refuses_is_not_sent_in_a_loop(
    crew: Team, proxy: FaultyProxy, watching: Operator
) -> None:
    refused, beside = Workers(), Workers()
    for name, agent in (("refused", refused), ("besides", beside)):
        agent.call()
        crew.run(agent, name)
    fault = Fault("PATCH", "/refused/status", 422, times=1_000_000)
    proxy.inject(fault)
    crew.observe("refused")
    crew.observe("besides")
    until(lambda: proxy.count("PATCH", "/refused/status"), "the status is refused")
    crew.until_shows("besides", beside)
    beside.call()
    crew.until_shows("besides", beside)
    # A round of scrapes went by. A loop makes hundreds.
    assert proxy.count("PATCH", "/refused/status") <= 3
    fault.times = 0
    status = crew.until_shows("refused", refused, deadline=60)
    assert condition(status, "Ready") == ("True", "Metered")
    assert [line for line in watching.lines() if line.get("status") == 422 or "422" in str(line)]


def test_objects_deleted_while_the_watch_was_down_are_read_no_more(
    crew: Team, proxy: FaultyProxy
) -> None:
    agents = {name: Workers() for name in ("ghost", "replaced", "staying")}
    for name, agent in agents.items():
        agent.call()
        crew.run(agent, name)
        crew.observe(name)
    for name, agent in agents.items():
        crew.until_shows(name, agent)
    # The version to go on from is forgotten: kopf lists anew, and does not tell what vanished.
    fault = Fault("GET", "/agentobservations", EXPIRED, watch=True)
    proxy.inject(fault)
    with proxy.holding("/agentobservations"):
        crew.delete("ghost")
        crew.delete("replaced")
        crew.observe("replaced")
        proxy.cut("/agentobservations")
        until(lambda: fault.times == 0, "the watch is told that its version has expired")
    crew.until_shows("replaced", agents["replaced"])
    agents["staying"].call()
    crew.until_shows("staying", agents["staying"])

    def is_left_alone() -> bool:
        before = agents["ghost"].answers
        agents["staying"].call()
        crew.until_shows("staying", agents["staying"])
        return agents["ghost"].answers == before

    until(is_left_alone, "nobody reads the agent of the object that is gone")


def test_pods_deleted_while_the_watch_was_down_keep_their_numbers(
    crew: Team, proxy: FaultyProxy
) -> None:
    agent, late = Workers(), Workers()
    agent.call()
    late.call()
    pod = crew.run(agent, "unseen")
    crew.observe("unseen")
    crew.until_shows("unseen", agent)
    fault = Fault("GET", "/pods", EXPIRED, watch=True)
    proxy.inject(fault)
    with proxy.holding("/pods"):
        crew.delete_pod(pod)
        proxy.cut("/pods")
        until(lambda: fault.times == 0, "the watch is told that its version has expired")
    status = crew.until_condition("unseen", "Ready", "True", "ScaledToZero")
    assert numbers(status)["totalTokens"] == 120
    crew.run(late, "unseen")
    until(
        lambda: numbers(crew.status("unseen"))["totalTokens"] == 240,
        "a later pod is added",
        shown=lambda: crew.status("unseen"),
    )


def test_a_pod_watch_that_lags_counts_no_answer_of_the_addresss_next_owner(
    crew: Team, proxy: FaultyProxy, network: Network
) -> None:
    mine, others = Workers(), Workers()
    mine.call(100, 0)
    others.call(7, 0)
    address = network.serve(mine)
    pod = crew.pod("lagging", address)
    crew.observe("lagging")
    crew.until_shows("lagging", mine)
    with proxy.holding("/pods"):
        crew.delete_pod(pod)
        network.stop(address)
        network.serve(others, address)
        crew.pod("owner", address)
        crew.observe("owner")
        until(lambda: others.answers >= 2, "the operator reads the next owner in its stale view")
        assert numbers(crew.status("lagging"))["totalTokens"] == 100
    crew.until_shows("owner", others)
    status = crew.until_condition("lagging", "Ready", "True", "ScaledToZero")
    assert numbers(status)["totalTokens"] == 100


def test_a_pod_watch_that_lags_folds_no_pod_that_it_has_not_seen(
    crew: Team, proxy: FaultyProxy, account: Path, logs: Iterator[Path]
) -> None:
    """A second operator counts pods that the first does not see yet; the first takes that over."""
    first, second = Workers(), Workers()
    first.call(100, 0)
    second.call(7, 0)
    crew.run(first, "behind")
    crew.observe("behind")
    crew.until_shows("behind", first)
    with proxy.holding("/pods"):
        crew.run(second, "behind")
        arguments = ("--no-leader-elect", f"--namespaces={crew.namespace}")
        with running(account, next(logs), *arguments):
            until(
                lambda: numbers(crew.status("behind"))["totalTokens"] == 107,
                "the second operator counts both",
                shown=lambda: crew.status("behind"),
            )
        first.call(1, 0)
        until(
            lambda: (
                numbers(crew.status("behind"))["totalTokens"]
                == first.truth.total + second.served.total
            ),
            "the first operator goes on from there",
            shown=lambda: crew.status("behind"),
        )
        assert "PodExitedUnscraped" not in crew.status("behind")["usage"]["reasons"]
    second.call(1, 0)
    until(
        lambda: (
            numbers(crew.status("behind"))["totalTokens"] == first.truth.total + second.truth.total
        ),
        "the truth",
        shown=lambda: crew.status("behind"),
    )
    assert condition(crew.status("behind"), "Complete") == ("True", "Exact")
