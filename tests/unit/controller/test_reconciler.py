"""What an operator makes of an object's pods, tick by tick. Time is virtual, the parts are real."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agentspec_usage.status.conditions import condition_status
from tests.fakes.cluster_objects import AgentProcess, FakeCluster, Pod
from tests.fakes.operators import FakeOperator
from tests.fakes.virtual_time import run_in_virtual_time

SPEC: dict[str, Any] = {"agentRef": {"name": "bot"}, "checkInterval": 10}
LABELS = {"agentspec.io/agent": "bot"}


class Stage:
    """A cluster with one operator, and the object ``bot``."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.operator = FakeOperator(self.cluster)
        self.processes = 0

    def agent(self, address: str = "10.0.0.1", tokens: int = 0) -> tuple[Pod, AgentProcess]:
        pod = self.cluster.start_pod(LABELS, address)
        return pod, self.process(pod, tokens)

    def process(self, pod: Pod, tokens: int = 0) -> AgentProcess:
        self.processes += 1
        agent = AgentProcess(f"{self.processes:032x}", self.cluster.clock.now())
        agent.use(tokens)
        pod.agents.append(agent)
        return agent

    def status(self, name: str = "bot") -> dict[str, Any]:
        status: dict[str, Any] = self.cluster.objects[name].get("status", {})
        return status

    def ready(self, name: str = "bot") -> tuple[str | None, str]:
        conditions = self.status(name).get("conditions", [])
        reason = next((c["reason"] for c in conditions if c["type"] == "Ready"), "")
        return condition_status(conditions, "Ready"), reason

    def tokens(self, name: str = "bot") -> int:
        return int(self.status(name)["usage"]["totalTokens"])


def played(story: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        stage = Stage()
        await story(stage)
        stage.operator.check_alive()
        assert not stage.operator.writer.stats.invalid
        await stage.operator.kill()

    run_in_virtual_time(main)


def test_a_new_object_shows_its_agents_tokens_within_a_second() -> None:
    async def story(stage: Stage) -> None:
        stage.agent(tokens=100)
        stage.agent("10.0.0.2", tokens=11)
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(1)
        assert stage.tokens() == 111
        assert stage.ready() == ("True", "Metered")

    played(story)


def test_an_idle_agent_costs_no_write() -> None:
    async def story(stage: Stage) -> None:
        stage.agent(tokens=100)
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(30)
        asked, written = len(stage.operator.scraper.asked), stage.operator.writer.stats.written
        await asyncio.sleep(300)
        assert len(stage.operator.scraper.asked) >= asked + 29
        assert stage.operator.writer.stats.written == written

    played(story)


def test_our_own_write_seen_before_its_answer_makes_no_further_tick() -> None:
    async def story(stage: Stage) -> None:
        stage.cluster.seconds = 1.0
        _, agent = stage.agent(tokens=100)
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(60)
        ticks = stage.operator.ticks
        agent.use(1)
        await asyncio.sleep(20)
        assert stage.operator.ticks == ticks + 2
        assert stage.tokens() == 101

    played(story)


def test_a_change_of_an_object_before_its_first_write_is_no_edit_by_hand() -> None:
    async def story(stage: Stage) -> None:
        stage.agent(tokens=100)
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(0.065)
        assert "usage" not in stage.status()
        stage.cluster.label("bot")
        await asyncio.sleep(20)
        assert stage.tokens() == 100
        assert stage.status()["usage"]["reasons"] == []

    played(story)


def test_a_pod_that_took_over_an_address_is_not_counted_as_the_one_before() -> None:
    async def story(stage: Stage) -> None:
        pod, _ = stage.agent(tokens=100)
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(20)
        stage.operator.lag = 60  # it goes on to believe in the old pod
        stage.cluster.delete_pod(pod)
        stranger = stage.cluster.start_pod({"app": "another"}, pod.address)
        stage.process(stranger, 5000)
        await asyncio.sleep(55)
        assert stage.tokens() == 100
        stage.operator.lag = 0
        await asyncio.sleep(100)
        assert stage.tokens() == 100
        assert stage.status()["usage"]["reasons"] == ["PodExitedUnscraped"]

    played(story)


def test_a_spec_that_becomes_invalid_during_a_scrape_ends_in_a_condition() -> None:
    """Regression: the tick failed on a spec that was there when it began."""

    async def story(stage: Stage) -> None:
        stage.cluster.apply("bot", SPEC)
        stage.operator.scraper.seconds = 3
        stage.operator.start()
        await asyncio.sleep(1)
        pod, _ = stage.agent()
        pod.body["status"]["podIP"] = "10.9.9.9"  # so that the scrape fails
        await asyncio.sleep(1)
        assert stage.operator.scraper.asked
        stage.cluster.apply("bot", {**SPEC, "checkInterval": 1})
        await asyncio.sleep(20)
        assert stage.ready() == ("False", "InvalidSpec")

    played(story)


def test_what_an_older_spec_found_is_not_said_of_the_new_one() -> None:
    async def story(stage: Stage) -> None:
        seen: list[tuple[int, str]] = []
        stage.cluster.on_status.append(
            lambda body: seen.append((body["metadata"]["generation"], stage.ready()[1]))
        )
        stage.agent(tokens=1)
        stage.cluster.apply("bot", SPEC)
        stage.operator.scraper.seconds = 3
        stage.operator.start()
        await asyncio.sleep(2)
        stage.cluster.seconds = 1  # so that the next search takes a while
        stage.cluster.apply("bot", {"agentRef": {"name": "other"}})
        await asyncio.sleep(30)
        assert {reason for generation, reason in seen if generation == 2} == {"NoUsageSource"}

    played(story)


def test_of_two_objects_the_older_counts_a_pod_and_the_younger_says_so() -> None:
    async def story(stage: Stage) -> None:
        stage.agent(tokens=100)
        stage.cluster.apply("bot", SPEC)
        stage.cluster.apply("late", SPEC)
        stage.operator.start()
        await asyncio.sleep(20)
        assert stage.tokens() == 100
        assert stage.ready("late") == ("False", "Overlapping")
        assert "usage" not in stage.status("late")

    played(story)


def test_a_suspended_elder_does_not_keep_its_namespace_waiting() -> None:
    """Regression: it is never resolved, and the younger ones asked five times a second for ever."""

    async def story(stage: Stage) -> None:
        stage.agent(tokens=100)
        stage.cluster.apply("elder", {"agentRef": {"name": "else"}, "suspend": True})
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(2)
        assert stage.ready("elder") == ("True", "Suspended")
        assert stage.tokens() == 100

    played(story)


def test_an_elder_that_names_a_missing_deployment_claims_no_labelled_pod() -> None:
    async def story(stage: Stage) -> None:
        stage.agent(tokens=100)
        stage.cluster.apply("elder", {"agentRef": {"name": "bot", "kind": "Deployment"}})
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(2)
        assert stage.ready("elder")[0] == "False"
        assert stage.tokens() == 100

    played(story)


def test_one_missed_scrape_is_noise_and_three_are_a_condition() -> None:
    async def story(stage: Stage) -> None:
        pod, _ = stage.agent(tokens=100)
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(15)
        pod.body["status"]["phase"] = "Frozen"  # unseen by the operator: nobody answers
        await asyncio.sleep(15)
        assert stage.ready() == ("True", "Metered")
        await asyncio.sleep(30)
        assert stage.ready() == ("False", "AgentUnreachable")
        assert stage.status()["usage"]["completeness"] == "Stale"
        assert stage.tokens() == 100

    played(story)


def test_a_pod_that_becomes_ready_is_read_at_once_whatever_it_did_before() -> None:
    """Regression: a pod that failed for long was not asked again for up to five minutes."""

    async def story(stage: Stage) -> None:
        pod, _ = stage.agent(tokens=100)
        stage.cluster.apply("bot", SPEC)
        pod.body["status"]["phase"] = "Frozen"
        stage.operator.start()
        await asyncio.sleep(1000)
        asked = len(stage.operator.scraper.asked)
        assert asked < 20

        stage.cluster.change_pod(pod, "Running")
        await asyncio.sleep(2)
        assert stage.tokens() == 100

    played(story)


def test_a_pod_that_ended_with_its_final_word_leaves_no_doubt_also_when_it_is_removed() -> None:
    """Regression: removing a completed pod was taken for the end of one that was never read."""

    async def story(stage: Stage) -> None:
        pod, agent = stage.agent(tokens=100)
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        agent.final = True
        await asyncio.sleep(30)
        stage.cluster.complete_pod(pod)
        await asyncio.sleep(30)
        stage.cluster.delete_pod(pod)
        await asyncio.sleep(30)
        assert stage.tokens() == 100
        assert stage.status()["usage"]["completeness"] == "Exact"
        assert stage.ready() == ("True", "ScaledToZero")

    played(story)


def test_a_pod_that_ran_and_ended_unread_is_a_doubt() -> None:
    async def story(stage: Stage) -> None:
        stage.agent(tokens=1)
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(20)
        stage.operator.scraper.seconds = 8
        pod, _ = stage.agent("10.0.0.2", tokens=100)
        await asyncio.sleep(5)
        stage.cluster.delete_pod(pod)
        await asyncio.sleep(60)
        assert stage.tokens() == 1
        assert stage.status()["usage"]["reasons"] == ["PodExitedUnscraped"]

    played(story)


def test_a_deleted_and_recreated_object_starts_anew() -> None:
    async def story(stage: Stage) -> None:
        _, agent = stage.agent(tokens=100)
        first = stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(20)
        epoch = stage.status()["usage"]["accountingEpoch"]
        stage.cluster.delete("bot")
        assert stage.cluster.apply("bot", SPEC) != first
        await asyncio.sleep(20)
        assert stage.tokens() == agent.tokens
        assert stage.status()["usage"]["accountingEpoch"] != epoch
        assert len(stage.operator.register) == 1

    played(story)


def test_an_object_of_the_control_plane_is_left_alone() -> None:
    async def story(stage: Stage) -> None:
        stage.agent(tokens=100)
        stage.cluster.apply("bot", {**SPEC, "source": "control-plane"})
        stage.operator.start()
        await asyncio.sleep(60)
        assert stage.status() == {}
        assert not stage.operator.scraper.asked

    played(story)


def test_while_the_api_server_is_away_known_pods_are_read_and_shown_after() -> None:
    async def story(stage: Stage) -> None:
        _, agent = stage.agent(tokens=100)
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(20)
        stage.cluster.down = True
        agent.use(50)
        await asyncio.sleep(60)
        assert stage.tokens() == 100
        stage.cluster.down = False
        await asyncio.sleep(40)
        assert stage.tokens() == 150
        assert stage.status()["usage"]["completeness"] == "Exact"

    played(story)
