"""What an operator hands in to the control plane, and what it makes of the answer.

Time is virtual, the parts are real, and every status write is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agentspec_usage.delivery.sender import Reply
from agentspec_usage.status.conditions import condition_status
from agentspec_usage.wire.usage_encoding import encode_usage
from tests.fakes.cluster_objects import NAMESPACE, AgentProcess, FakeCluster, Pod
from tests.fakes.control_plane import FakeControlPlane
from tests.fakes.operators import FakeOperator
from tests.fakes.virtual_time import VirtualClock, run_in_virtual_time

SPEC: dict[str, Any] = {"agentRef": {"name": "bot"}, "checkInterval": 30}
LABELS = {"agentspec.io/agent": "bot"}
BOT = (NAMESPACE, "bot")


class Stage:
    """A cluster, a control plane, an operator between them, and the object ``bot``."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.plane = FakeControlPlane(VirtualClock().now)
        self.processes = 0
        self.operator = self.new_operator()

    def new_operator(self) -> FakeOperator:
        return FakeOperator(self.cluster, min_interval=15.0, control_plane=self.plane)

    async def begin(self, tokens: int = 1_000_000) -> tuple[Pod, AgentProcess]:
        pod, agent = self.agent(tokens)
        self.cluster.apply("bot", SPEC)
        self.operator.start()
        await asyncio.sleep(25)
        return pod, agent

    def agent(self, tokens: int, address: str = "10.0.0.1") -> tuple[Pod, AgentProcess]:
        pod = self.cluster.start_pod(LABELS, address)
        self.processes += 1
        agent = AgentProcess(f"{self.processes:032x}", self.cluster.clock.now())
        agent.use(tokens)
        pod.agents.append(agent)
        return pod, agent

    @property
    def usage(self) -> dict[str, Any]:
        usage: dict[str, Any] = self.cluster.objects["bot"]["status"]["usage"]
        return usage

    @property
    def written(self) -> int:
        return self.operator.writer.stats.written


def played(story: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        stage = Stage()
        await story(stage)
        stage.operator.check_alive()
        assert not stage.operator.writer.stats.invalid
        await stage.operator.kill()

    run_in_virtual_time(main)


def test_one_write_brings_tokens_and_what_the_control_plane_charges_for_them() -> None:
    async def story(stage: Stage) -> None:
        _, agent = await stage.begin(1_000)
        before = stage.written
        agent.use(999_000)
        await asyncio.sleep(90)
        assert stage.written == before + 1
        assert stage.usage["totalTokens"] == 1_000_000
        assert stage.usage["cost"] == {"status": "Estimated", "amount": "2.5", "currency": "USD"}
        assert stage.usage["month"]["tokens"] == 1_000_000
        assert stage.usage["tail"] == {"tokens": 1_000_000, "calls": 1}
        assert stage.usage["display"]["month"] == "~$2.50"
        assert stage.usage["ledger"]["keyId"] == "key-1"

    played(story)


def test_a_new_object_shows_tokens_at_once_and_its_charges_within_half_a_minute() -> None:
    async def story(stage: Stage) -> None:
        stage.agent(1_000_000)
        stage.cluster.apply("bot", SPEC)
        stage.operator.start()
        await asyncio.sleep(2)
        assert stage.usage["totalTokens"] == 1_000_000
        assert stage.usage["display"]["cost"] == "~$2.50"
        assert "month" not in stage.usage
        await asyncio.sleep(23)
        assert stage.usage["month"]["tokens"] == 1_000_000
        assert stage.written == 2

    played(story)


def test_a_busy_agent_costs_no_more_writes_than_without_a_control_plane() -> None:
    async def busy(operator: FakeOperator, agent: AgentProcess) -> int:
        before = operator.writer.stats.written
        for _ in range(120):
            agent.use(1000)
            await asyncio.sleep(30)
        return operator.writer.stats.written - before

    async def story(stage: Stage) -> None:
        _, agent = await stage.begin()
        charged = await busy(stage.operator, agent)
        await stage.operator.kill()
        stage.operator = FakeOperator(stage.cluster, "alone", min_interval=15.0)
        stage.operator.start()
        await asyncio.sleep(60)
        assert charged <= await busy(stage.operator, agent) + 1

    played(story)


def test_an_idle_agent_costs_no_write_although_it_is_asked_for_and_the_ledger_grows() -> None:
    async def story(stage: Stage) -> None:
        await stage.begin()
        asked, written = len(stage.plane.bodies), stage.written
        await asyncio.sleep(3600)
        assert stage.written == written
        assert 10 <= len(stage.plane.bodies) - asked <= 15
        assert stage.usage["ledger"]["size"] == asked

    played(story)


def test_money_that_moves_alone_is_written_a_minute_after_the_last_write() -> None:
    async def story(stage: Stage) -> None:
        _, agent = await stage.begin()
        written = stage.written
        stage.plane.settle(BOT)
        await asyncio.sleep(600)
        assert stage.written == written + 1
        assert stage.usage["cost"]["status"] == "Exact"
        assert stage.usage["display"]["cost"] == "$2.50"
        assert "tail" not in stage.usage
        agent.use(1000)
        await asyncio.sleep(60)
        assert stage.written == written + 2
        assert stage.usage["display"]["cost"] == "~$2.50"

    played(story)


def test_a_new_day_reaches_an_agent_without_pods() -> None:
    async def story(stage: Stage) -> None:
        pod, _ = await stage.begin()
        stage.cluster.delete_pod(pod)
        await asyncio.sleep(2 * 86_400)
        assert stage.usage["today"]["tokens"] == 0
        assert "cost" not in stage.usage["today"]
        assert stage.usage["month"]["tokens"] == 1_000_000

    played(story)


def test_without_an_answer_the_cost_goes_on_as_an_estimate_and_days_end() -> None:
    async def story(stage: Stage) -> None:
        _, agent = await stage.begin(1_000_000)
        stage.plane.settle(BOT)
        await asyncio.sleep(600)
        stage.plane.away = True
        agent.use(1_000_000)
        await asyncio.sleep(120)
        assert stage.usage["totalTokens"] == 2_000_000
        assert stage.usage["display"]["cost"] == "~$5.00"
        assert stage.usage["month"]["tokens"] == 2_000_000
        await asyncio.sleep(86_400)
        agent.use(1000)
        await asyncio.sleep(60)
        assert stage.usage["totalTokens"] == 2_001_000
        assert "today" not in stage.usage

    played(story)


def test_an_operator_that_starts_anew_without_an_answer_writes_nothing_and_goes_on() -> None:
    async def story(stage: Stage) -> None:
        _, agent = await stage.begin(1_000_000)
        stage.plane.settle(BOT)
        await asyncio.sleep(600)
        before = stage.usage
        await stage.operator.kill()
        stage.plane.away = True
        stage.operator = stage.new_operator()
        stage.operator.start()
        await asyncio.sleep(120)
        assert (stage.written, stage.usage) == (0, before)
        agent.use(1_000_000)
        await asyncio.sleep(60)
        assert stage.usage["display"]["cost"] == "~$5.00"
        stage.plane.away = False
        await asyncio.sleep(180)
        assert stage.plane.tokens(BOT) == 2_000_000
        assert stage.usage["cost"]["amount"] == "5"

    played(story)


def test_an_answer_that_comes_before_the_first_reading_makes_no_verdict_of_it() -> None:
    async def story(stage: Stage) -> None:
        await stage.begin(1_000_000)
        await stage.operator.kill()
        stage.plane.settle(BOT)
        verdicts: list[str | None] = []
        stage.cluster.on_status.append(
            lambda body: verdicts.append(condition_status(body["status"]["conditions"], "Ready"))
        )
        stage.operator = stage.new_operator()
        stage.operator.scraper.seconds = 20.0
        stage.operator.start()
        await asyncio.sleep(120)
        assert stage.usage["cost"]["status"] == "Exact"
        assert set(verdicts) == {"True"}

    played(story)


def test_a_control_plane_that_is_away_changes_no_count_and_gets_all_of_it_later() -> None:
    async def story(stage: Stage) -> None:
        pod, agent = await stage.begin(100)
        stage.plane.away = True
        for _ in range(20):
            agent.use(10)
            await asyncio.sleep(30)
        assert stage.usage["totalTokens"] == 300
        assert stage.plane.tokens(BOT) == 100
        agent.use(5)
        agent.final = True
        await asyncio.sleep(60)
        stage.cluster.delete_pod(pod)
        await asyncio.sleep(60)
        stage.plane.away = False
        await asyncio.sleep(120)
        assert stage.plane.tokens(BOT) == stage.usage["totalTokens"] == 305

    played(story)


def test_what_a_container_left_behind_when_it_died_is_handed_in() -> None:
    async def story(stage: Stage) -> None:
        pod, agent = await stage.begin(100)
        agent.use(23)
        words = encode_usage([agent.snapshot()]).decode()
        pod.agents.clear()
        stage.cluster.end_container(pod, words, restarted=True)
        await asyncio.sleep(10)
        assert stage.plane.tokens(BOT) == 123

    played(story)


def test_a_control_plane_that_lost_what_it_had_is_told_again_of_living_pods() -> None:
    async def story(stage: Stage) -> None:
        await stage.begin(100)
        stage.plane.forget()
        await asyncio.sleep(400)
        assert stage.plane.tokens(BOT) == 100

    played(story)


def test_a_retry_after_is_honoured() -> None:
    async def story(stage: Stage) -> None:
        stage.plane.faults.append(Reply(503, retry_after=40.0))
        await stage.begin(100)
        await asyncio.sleep(14)
        assert not stage.plane.bodies
        await asyncio.sleep(5)
        assert stage.plane.tokens(BOT) == 100

    played(story)


def test_an_object_that_is_gone_is_asked_for_no_more() -> None:
    async def story(stage: Stage) -> None:
        await stage.begin(100)
        stage.cluster.delete("bot")
        await asyncio.sleep(10)
        before = len(stage.plane.bodies)
        await asyncio.sleep(1000)
        assert len(stage.plane.bodies) == before
        assert stage.operator.outbox is not None
        assert len(stage.operator.outbox) == 0

    played(story)


def test_an_object_that_the_control_plane_keeps_is_neither_asked_for_nor_written() -> None:
    async def story(stage: Stage) -> None:
        await stage.begin(100)
        stage.cluster.apply("bot", {**SPEC, "source": "control-plane"})
        await asyncio.sleep(60)
        asked, written = len(stage.plane.bodies), stage.written
        stage.plane.settle(BOT)
        await asyncio.sleep(1000)
        assert (len(stage.plane.bodies), stage.written) == (asked, written)

    played(story)
