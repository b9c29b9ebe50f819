"""Fresh reads: what retires a pod's numbers, and what is never forgotten on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agentspec_usage.metering.checkpoint import PodIdentity, observe, pods
from tests.fakes.cluster_objects import AgentProcess, FakeCluster, Pod
from tests.fakes.operators import FakeOperator
from tests.fakes.virtual_time import run_in_virtual_time

SPEC: dict[str, Any] = {"agentRef": {"name": "bot"}, "checkInterval": 10}


class Counted:
    """An operator that has read one pod with 100 tokens."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.operator = FakeOperator(self.cluster)
        self.uid = self.cluster.apply("bot", SPEC)

    async def begin(self) -> Pod:
        pod = self.add_pod("10.0.0.1", 100)
        self.operator.start()
        await asyncio.sleep(15)
        return pod

    def add_pod(self, address: str, tokens: int) -> Pod:
        pod = self.cluster.start_pod({"agentspec.io/agent": "bot"}, address)
        pod.agents.append(AgentProcess(f"{tokens:032x}", self.cluster.clock.now(), tokens, 1))
        return pod

    @property
    def counted_pods(self) -> set[str]:
        record = self.operator.register.get(self.uid)
        assert record is not None
        return pods(record.checkpoint)

    @property
    def usage(self) -> dict[str, Any]:
        usage: dict[str, Any] = self.cluster.objects["bot"]["status"]["usage"]
        return usage


def played(story: Callable[[Counted], Awaitable[None]]) -> None:
    async def main() -> None:
        counted = Counted()
        await story(counted)
        counted.operator.check_alive()
        await counted.operator.kill()

    run_in_virtual_time(main)


def test_the_object_is_read_before_its_pods() -> None:
    async def story(counted: Counted) -> None:
        pod = await counted.begin()
        counted.cluster.requests.clear()
        counted.cluster.delete_pod(pod)
        await asyncio.sleep(2)
        reads = [name for name in counted.cluster.requests if name.startswith("get")]
        assert reads[:2] == ["get observation", "get pod"]
        assert counted.counted_pods == set()

    played(story)


def test_a_pod_that_only_the_watch_believes_gone_is_kept() -> None:
    async def story(counted: Counted) -> None:
        pod = await counted.begin()
        counted.operator.see_pod("DELETED", pod.body)
        await asyncio.sleep(30)
        assert counted.counted_pods == {pod.uid}
        assert counted.usage["totalTokens"] == 100
        assert counted.usage["reasons"] == []

    played(story)


def test_a_pod_whose_end_nobody_told_is_found_by_a_list() -> None:
    async def story(counted: Counted) -> None:
        pod = await counted.begin()
        counted.cluster.on_pod.clear()
        counted.cluster.delete_pod(pod)
        counted.operator.pods.remove(pod.uid)
        counted.cluster.on_pod.append(counted.operator.hear_pod)
        await asyncio.sleep(30)
        assert counted.counted_pods == set()
        assert counted.usage["totalTokens"] == 100
        assert "list pods" in counted.cluster.requests or "get pod" in counted.cluster.requests

    played(story)


def test_while_the_api_server_is_away_nothing_is_folded_and_nothing_forgotten() -> None:
    async def story(counted: Counted) -> None:
        pod = await counted.begin()
        counted.cluster.down = True
        counted.cluster.delete_pod(pod)
        await asyncio.sleep(60)
        assert counted.counted_pods == {pod.uid}
        counted.cluster.down = False
        await asyncio.sleep(20)
        assert counted.counted_pods == set()
        assert counted.usage["reasons"] == ["PodExitedUnscraped"]

    played(story)


def test_a_pod_that_ends_while_another_is_looked_for_is_not_forgotten() -> None:
    """Regression: its doubt was dropped with those of the finished job."""

    async def story(counted: Counted) -> None:
        pod = await counted.begin()
        record = counted.operator.register.get(counted.uid)
        assert record is not None
        counted.operator.scraper.seconds = 1000
        late = counted.add_pod("10.0.0.2", 7)
        await asyncio.sleep(5)
        assert late.uid in record.pods
        counted.cluster.seconds = 4
        pod.agents[0].final = True
        record.checkpoint = observe(
            record.checkpoint, PodIdentity(pod.uid, 0), pod.reading(), counted.cluster.clock.now()
        )
        counted.cluster.delete_pod(pod)
        await asyncio.sleep(6)  # the object was read, its pod is being asked for
        counted.cluster.delete_pod(late)
        await asyncio.sleep(0.1)
        assert late.uid in record.departed
        await asyncio.sleep(100)
        assert record.departed == {}
        assert counted.usage["totalTokens"] == 100
        assert counted.usage["reasons"] == ["PodExitedUnscraped"]

    played(story)


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "recreated"])
def test_an_object_that_is_gone_is_dropped_though_the_watch_said_nothing(again: bool) -> None:
    async def story(counted: Counted) -> None:
        await counted.begin()
        counted.cluster.on_object.clear()
        counted.cluster.delete("bot")
        if again:
            counted.cluster.apply("bot", SPEC)
        counted.cluster.on_object.append(counted.operator.hear_object)
        counted.operator.rereader.reread(counted.uid)
        await asyncio.sleep(5)
        assert counted.operator.register.get(counted.uid) is None
        assert len(counted.operator.register) == int(again)

    played(story)
