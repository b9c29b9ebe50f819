"""What a container left in its termination log counts once, whoever hears it and however late."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from agentspec_usage.controller.sources import SIDECAR_PORT_NAME
from agentspec_usage.metering.snapshot import Observer, UsageSnapshot
from agentspec_usage.wire.usage_encoding import encode_usage
from tests.fakes.cluster_objects import AgentProcess, FakeCluster, Pod
from tests.fakes.operators import FakeOperator
from tests.fakes.virtual_time import run_in_virtual_time

SPEC: dict[str, Any] = {"agentRef": {"name": "bot"}, "checkInterval": 60}
SOON = 5.0
"""Seconds: sooner than the next scrape."""


class Watched:
    """An operator, and an object whose pods it reads."""

    def __init__(self, spec: dict[str, Any] | None = None) -> None:
        self.cluster = FakeCluster()
        self.operator = FakeOperator(self.cluster)
        self.uid = self.cluster.apply("bot", spec or SPEC)
        self._pods = 0

    def add_pod(self, tokens: int = 100) -> tuple[Pod, AgentProcess]:
        self._pods += 1
        pod = self.cluster.start_pod({"agentspec.io/agent": "bot"}, f"10.0.0.{self._pods}")
        agent = AgentProcess(f"{self._pods:032x}", self.cluster.clock.now(), tokens, 1)
        pod.agents.append(agent)
        return pod, agent

    async def read(self) -> None:
        """Every pod is read once."""
        self.operator.start()
        await asyncio.sleep(65)

    def end(self, pod: Pod, *words: UsageSnapshot, restarted: bool = False) -> None:
        """The pod's agents are gone; what they wrote is left."""
        pod.agents.clear()
        self.cluster.end_container(pod, said(*words), restarted=restarted)

    @property
    def usage(self) -> dict[str, Any]:
        usage: dict[str, Any] = self.cluster.objects["bot"]["status"]["usage"]
        return usage

    @property
    def shown(self) -> tuple[int, list[str]]:
        return self.usage["totalTokens"], self.usage["reasons"]


def said(*words: UsageSnapshot) -> str:
    return encode_usage(words, max_bytes=4096).decode()


def played(story: Callable[[Watched], Awaitable[None]], spec: dict[str, Any] | None = None) -> None:
    async def main() -> None:
        watched = Watched(spec)
        await story(watched)
        watched.operator.check_alive()
        await watched.operator.kill()

    run_in_virtual_time(main)


def test_what_an_agent_used_after_its_last_scrape_counts_though_it_was_killed() -> None:
    async def story(watched: Watched) -> None:
        pod, agent = watched.add_pod()
        await watched.read()
        agent.use(50)
        watched.end(pod, agent.snapshot())
        await asyncio.sleep(SOON)
        assert watched.shown == (150, [])

    played(story)


@pytest.mark.parametrize(
    ("final", "doubts"),
    [
        pytest.param(True, [], id="it had said its end"),
        pytest.param(False, ["PodExitedUnscraped"], id="it was killed"),
    ],
)
def test_the_words_of_a_pod_that_is_deleted_at_once_are_its_last_number(
    final: bool, doubts: list[str]
) -> None:
    async def story(watched: Watched) -> None:
        pod, agent = watched.add_pod()
        await watched.read()
        agent.use(50)
        watched.end(pod, replace(agent.snapshot(), final=final))
        watched.cluster.delete_pod(pod)
        await asyncio.sleep(SOON)
        assert watched.shown == (150, doubts)

    played(story)


def test_a_pod_that_ended_before_anybody_read_it_is_known_by_its_words() -> None:
    async def story(watched: Watched) -> None:
        await watched.read()
        pod, agent = watched.add_pod(70)
        words = replace(agent.snapshot(), final=True)
        pod.agents.clear()
        pod.body["status"]["phase"] = "Succeeded"
        watched.cluster.end_container(pod, said(words))
        await asyncio.sleep(SOON)
        assert watched.shown == (70, [])

    played(story)


def test_a_pod_that_never_answered_and_said_its_end_is_not_missing() -> None:
    async def story(watched: Watched) -> None:
        pod, agent = watched.add_pod(70)
        watched.cluster.change_pod(pod, "Unknown")
        await watched.read()
        pod.body["status"]["phase"] = "Failed"
        watched.end(pod, replace(agent.snapshot(), final=True))
        await asyncio.sleep(SOON)
        assert watched.shown == (70, [])

    played(story)


def test_what_a_pod_said_while_no_operator_ran_is_heard_before_it_is_folded() -> None:
    async def story(watched: Watched) -> None:
        pod, agent = watched.add_pod()
        await watched.read()
        await watched.operator.kill()
        agent.use(50)
        pod.body["status"]["phase"] = "Failed"
        watched.end(pod, replace(agent.snapshot(), final=True))
        watched.operator = FakeOperator(watched.cluster, "b")
        await watched.read()
        assert watched.shown == (150, [])

    played(story)


def test_what_a_container_said_while_no_operator_ran_is_heard_with_the_next_reading() -> None:
    async def story(watched: Watched) -> None:
        pod, agent = watched.add_pod()
        watched.end(pod, replace(agent.snapshot(), final=True), restarted=True)
        pod.agents.append(AgentProcess("e" * 32, watched.cluster.clock.now(), 7, 1))
        await watched.read()
        assert watched.shown == (107, [])

    played(story)


def test_a_restarted_container_keeps_what_the_one_before_it_used() -> None:
    async def story(watched: Watched) -> None:
        pod, agent = watched.add_pod()
        await watched.read()
        agent.use(50)
        watched.end(pod, replace(agent.snapshot(), final=True), restarted=True)
        pod.agents.append(AgentProcess("e" * 32, watched.cluster.clock.now(), 7, 1))
        await asyncio.sleep(65)
        assert watched.shown == (157, [])

    played(story)


def test_words_that_are_heard_again_by_the_next_operator_count_nothing_more() -> None:
    async def story(watched: Watched) -> None:
        pod, agent = watched.add_pod()
        await watched.read()
        agent.use(50)
        watched.end(pod, agent.snapshot(), restarted=True)
        await asyncio.sleep(SOON)
        await watched.operator.kill()
        watched.operator = FakeOperator(watched.cluster, "b")
        await watched.read()
        assert watched.usage["totalTokens"] == 150

    played(story)


def test_at_a_pod_that_is_read_at_its_sidecar_only_the_sidecars_words_count() -> None:
    async def story(watched: Watched) -> None:
        pod, agent = watched.add_pod()
        pod.body["spec"]["containers"].append(
            {"name": "sidecar", "ports": [{"name": SIDECAR_PORT_NAME, "containerPort": 4001}]}
        )
        await watched.read()
        seen = replace(agent.snapshot(), observer=Observer.SIDECAR)
        agent.use(50)
        more = replace(agent.snapshot(), observer=Observer.SIDECAR)
        watched.end(pod, replace(seen, instance_id="a" * 32, observer=Observer.SDK), more)
        await asyncio.sleep(SOON)
        assert watched.usage["totalTokens"] == 150

    played(story)


def test_of_two_objects_that_select_a_pod_the_oldest_alone_hears_it() -> None:
    async def story(watched: Watched) -> None:
        labels = {"agentspec.io/agent": "bot"}
        watched.cluster.apply("younger", {**SPEC, "podSelector": {"matchLabels": labels}})
        pod, agent = watched.add_pod()
        await watched.read()
        agent.use(50)
        pod.body["status"]["phase"] = "Failed"
        watched.end(pod, agent.snapshot())
        await asyncio.sleep(65)
        assert watched.usage["totalTokens"] == 150
        younger = watched.cluster.objects["younger"]["status"]
        assert younger.get("usage", {}).get("totalTokens", 0) == 0

    played(story)


def test_a_suspended_object_hears_nothing() -> None:
    async def story(watched: Watched) -> None:
        pod, agent = watched.add_pod()
        await watched.read()
        watched.cluster.apply("bot", {**SPEC, "suspend": True})
        await asyncio.sleep(SOON)
        agent.use(50)
        watched.end(pod, agent.snapshot())
        await asyncio.sleep(SOON)
        assert watched.usage["totalTokens"] == 100

    played(story)


OTHER = {"instanceId": f"{2:032x}", "totalTokens": 10**6, "totals": {"input": 10**6, "calls": 1}}


@pytest.mark.parametrize(
    "message",
    [
        pytest.param('Traceback (most recent call last): "instanceId"', id="no JSON"),
        pytest.param('{"instanceId":' + "[" * 4000, id="a deep one"),
        pytest.param('{"instanceId":"' + "x" * 4000 + '"}', id="no instance"),
        pytest.param('{"instanceId":"\ud800"}', id="half a character"),
        pytest.param(json.dumps({**OTHER, "totalTokens": 5}), id="sums that contradict"),
        pytest.param(json.dumps({**OTHER, "totals": {"input": 1e6}}), id="a float"),
        pytest.param(json.dumps({**OTHER, "totals": {"input": 2**60}}), id="a number too large"),
        pytest.param(json.dumps({**OTHER, "instances": [OTHER] * 100}), id="too many instances"),
        pytest.param(json.dumps({**OTHER, "pad": "x" * 20_000}), id="longer than any can be"),
        pytest.param(json.dumps({"totalTokens": 9, "note": '"instanceId"'}), id="a window"),
        pytest.param(json.dumps(OTHER), id="another pod's instance"),
    ],
)
def test_hostile_words_change_no_number_and_stop_no_loop(message: str) -> None:
    async def story(watched: Watched) -> None:
        hostile, _ = watched.add_pod()
        _, neighbour = watched.add_pod(1)
        await watched.read()
        assert watched.usage["totalTokens"] == 101
        watched.cluster.end_container(hostile, message, restarted=True)
        await asyncio.sleep(SOON)
        assert watched.usage["totalTokens"] == 101
        neighbour.use(1)
        await asyncio.sleep(65)
        assert watched.shown == (102, [])

    played(story)


def test_words_that_are_no_usage_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story(watched: Watched) -> None:
        pod, _ = watched.add_pod()
        watched.cluster.end_container(pod, '{"instanceId": "secret"}', restarted=True)
        await watched.read()
        await asyncio.sleep(200)

    caplog.set_level("INFO", "agentspec_usage.controller.last_words")
    played(story)
    (line,) = [one for one in caplog.records if one.name.endswith("last_words")]
    assert line.__dict__["container"] == "agent"
    assert "secret" not in str(line.__dict__)
