"""Two operators at once, over everything that may happen to them: the status never lies.

The parts are the shipped ones; the API server is a fake with a real one's refusals, and time is
virtual. What must hold:

* no write of an operator says more than was truly used, and none is refused as invalid;
* when the faults stop, what living agents used is in the status, all of it, soon;
* who says ``Exact`` has counted every token;
* the numbers shown are those that the packed notes add up to;
* nobody without the key brings an operator to write a number of their own, whole and consistent as
  it may be.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from agentspec_usage.controller.notes import Notes
from agentspec_usage.errors import WireError
from agentspec_usage.metering.checkpoint import totals
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.tally import Tally
from agentspec_usage.status.usage import usage_numbers
from agentspec_usage.wire.writer_state import pack, unpack
from agentspec_usage.wire.writer_state_seal import SealKey, SealKeys, parted
from tests.fakes.cluster_objects import AgentProcess, FakeCluster, Pod
from tests.fakes.operators import FakeOperator
from tests.fakes.virtual_time import VirtualTimeLoop

LABELS = {"agentspec.io/agent": "bot"}
SPEC = {"agentRef": {"name": "bot"}, "checkInterval": 5}
NAME = "bot"
NOTES = Notes(SealKeys(SealKey.of("k" * 32)))
ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
"""Few, so that they are taken over."""


class TwoOperators(RuleBasedStateMachine):
    """``agents`` is the truth: every process that ever ran, dead or alive."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        asyncio.set_event_loop(self.loop)
        self.agents: list[AgentProcess] = []
        self.names = 0
        self.copy: dict[str, Any] = {}
        self.edited = False
        self.restarted = False
        self.untraceable = False

    @initialize()
    def begin(self) -> None:
        async def start() -> tuple[FakeCluster, list[FakeOperator]]:
            cluster = FakeCluster()
            cluster.on_status.append(self.check_write)
            cluster.apply(NAME, SPEC)
            operators = [FakeOperator(cluster, name, notes=NOTES) for name in "ab"]
            for operator in operators:
                operator.start()
            return cluster, operators

        self.cluster, self.operators = self.loop.run_until_complete(start())
        self.pod_starts("10.0.0.1")

    def wait(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        for operator in self.operators:
            operator.check_alive()
            assert not operator.writer.stats.invalid

    def check_write(self, body: Mapping[str, Any]) -> None:
        usage = body["status"].get("usage")
        if usage is not None:
            assert usage["totalTokens"] <= sum(agent.tokens for agent in self.agents)
            assert sum(row["totalTokens"] for row in usage["models"]) == usage["totalTokens"]
            self.check_notes(body["status"])

    def check_notes(self, status: Mapping[str, Any]) -> None:
        noted = unpack(parted(status["writerState"])[0])
        assert noted.epoch == status["usage"]["accountingEpoch"]
        numbers = usage_numbers(totals(noted))
        assert {name: status["usage"][name] for name in numbers} == numbers

    def running(self, number: int) -> Pod:
        pods = list(self.cluster.pods.values())
        return pods[number % len(pods)]

    def process(self) -> AgentProcess:
        agent = AgentProcess(f"{len(self.agents) + 1:032x}", self.cluster_now())
        self.agents.append(agent)
        return agent

    def cluster_now(self) -> int:
        async def now() -> int:
            return self.cluster.clock.now()

        return self.loop.run_until_complete(now())

    # What agents do.

    @rule(number=st.integers(0, 9), tokens=st.integers(1, 1000))
    def agent_uses(self, number: int, tokens: int) -> None:
        if self.cluster.pods:
            for agent in self.running(number).agents:
                if not agent.final:
                    agent.use(tokens)

    @rule(number=st.integers(0, 9))
    def worker_joins(self, number: int) -> None:
        if self.cluster.pods:
            self.running(number).agents.append(self.process())

    @rule(number=st.integers(0, 9))
    def agent_restarts(self, number: int) -> None:
        if self.cluster.pods:
            self.restarted = True
            self.running(number).agents[:] = [self.process()]

    @rule(number=st.integers(0, 9))
    def agents_say_goodbye(self, number: int) -> None:
        if self.cluster.pods:
            for agent in self.running(number).agents:
                agent.final = True

    # What the cluster does.

    @rule(address=st.sampled_from(ADDRESSES))
    def pod_starts(self, address: str) -> None:
        if address not in {pod.address for pod in self.cluster.pods.values()}:

            async def start() -> Pod:
                return self.cluster.start_pod(LABELS, address)

            self.loop.run_until_complete(start()).agents.append(self.process())

    @rule(number=st.integers(0, 9))
    def pod_is_deleted(self, number: int) -> None:
        if self.cluster.pods:
            self.cluster.delete_pod(self.running(number))

    @rule(number=st.integers(0, 9))
    def pod_completes(self, number: int) -> None:
        if self.cluster.pods:
            self.cluster.complete_pod(self.running(number))

    @rule(seconds=st.sampled_from([0.01, 0.3, 4.0]))
    def api_server_is_slow(self, seconds: float) -> None:
        self.cluster.seconds = seconds

    @rule()
    def api_server_goes_down(self) -> None:
        self.cluster.down = True

    @precondition(lambda self: self.cluster.down)
    @rule()
    def api_server_is_back(self) -> None:
        self.cluster.down = False

    @rule()
    def an_answer_gets_lost(self) -> None:
        self.cluster.lose_answers = 1

    # What people do.

    @rule()
    def somebody_labels_the_object(self) -> None:
        self.cluster.label(NAME)

    @rule(suspend=st.booleans())
    def somebody_edits_the_spec(self, suspend: bool) -> None:
        self.cluster.apply(NAME, {**SPEC, "suspend": suspend})

    @rule(tokens=st.integers(1, 10**6))
    def somebody_adds_tokens(self, tokens: int) -> None:
        def change(status: dict[str, Any]) -> None:
            status["usage"]["totalTokens"] += tokens
            status["usage"]["inputTokens"] += tokens

        self.edited |= self.cluster.edit_status(NAME, change)

    @rule()
    def somebody_takes_tokens_away(self) -> None:
        def change(status: dict[str, Any]) -> None:
            status["usage"].update(totalTokens=0, inputTokens=0, accountingEpoch="mine")

        self.edited |= self.cluster.edit_status(NAME, change)

    @rule(text=st.sampled_from(["", "AAAA", "nonsense"]))
    def somebody_edits_the_notes(self, text: str) -> None:
        self.edited |= self.cluster.edit_status(NAME, lambda s: s.update(writerState=text))

    @rule(tokens=st.integers(1, 10**6), seal=st.sampled_from(["none", "the one there"]))
    def somebody_forges_numbers_and_notes(self, tokens: int, seal: str) -> None:
        def change(status: dict[str, Any]) -> None:
            notes, _ = parted(status["writerState"])
            try:
                theirs = unpack(notes)
            except WireError:
                return  # edited already
            more = theirs.retired + Tally(TokenCounts(input=tokens))
            forged = replace(theirs, retired=more)
            kept = status["writerState"][len(notes) :] if seal == "the one there" else ""
            status["writerState"] = pack(forged)[1] + kept
            status["usage"].update(usage_numbers(totals(forged)))

        self.edited |= self.cluster.edit_status(NAME, change)

    @precondition(lambda self: "status" in self.cluster.objects[NAME])
    @rule()
    def somebody_keeps_a_copy(self) -> None:
        status = self.cluster.objects[NAME]["status"]
        self.copy = copy.deepcopy(status) if "usage" in status else self.copy

    @precondition(lambda self: self.copy)
    @rule()
    def somebody_puts_the_copy_back(self) -> None:
        """In two steps, as the API server has it: another epoch first."""
        self.somebody_takes_tokens_away()
        self.edited |= self.cluster.edit_status(NAME, lambda s: s.update(copy.deepcopy(self.copy)))

    # What happens to the operators.

    @rule(which=st.integers(0, 1))
    def operator_is_killed_and_starts_anew(self, which: int) -> None:
        self.names += 1
        name = f"{'ab'[which]}{self.names}"
        self.untraceable |= self.leaves_no_trace()

        async def replace() -> FakeOperator:
            await self.operators[which].kill()
            successor = FakeOperator(self.cluster, name, notes=NOTES)
            successor.start()
            return successor

        self.operators[which] = self.loop.run_until_complete(replace())

    def leaves_no_trace(self) -> bool:
        """Whether a pod ended of which the status knows nothing: only the operators remember it."""
        text = (self.cluster.objects[NAME].get("status") or {}).get("writerState") or ""
        try:
            known = unpack(parted(text)[0])
        except WireError:
            known = None
        there = {agent.instance_id for pod in self.cluster.pods.values() for agent in pod.agents}
        ended = {agent.instance_id for agent in self.agents if agent.tokens} - there
        if known is not None:
            ended -= known.live.keys() | known.tombstones.keys()
        return bool(ended)

    @rule(which=st.integers(0, 1), seconds=st.sampled_from([0.0, 0.5, 8.0]))
    def views_lag(self, which: int, seconds: float) -> None:
        self.operators[which].lag = seconds

    @rule(which=st.integers(0, 1), seconds=st.sampled_from([0.05, 2.0]))
    def agents_are_slow(self, which: int, seconds: float) -> None:
        self.operators[which].scraper.seconds = seconds

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.wait(seconds)

    def teardown(self) -> None:
        try:
            if hasattr(self, "cluster"):
                self.faults_stop()
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            asyncio.set_event_loop(None)
            self.loop.close()

    def faults_stop(self) -> None:
        self.cluster.down, self.cluster.seconds, self.cluster.lose_answers = False, 0.01, 0
        for operator in self.operators:
            operator.lag, operator.scraper.seconds = 0.0, 0.05
        self.cluster.apply(NAME, SPEC)
        self.wait(400)
        status = self.cluster.objects[NAME]["status"]
        living = sum(agent.tokens for pod in self.alive() for agent in pod.agents)
        if not living and "usage" not in status:
            return
        self.check_notes(status)
        usage, truth = status["usage"], sum(agent.tokens for agent in self.agents)
        assert usage["totalTokens"] <= truth
        if not self.edited:
            assert usage["totalTokens"] >= living
            # A pod that came and went while no operator lived to tell is beyond all knowledge.
            traceable = not self.restarted and not self.untraceable
            if usage["completeness"] == "Exact" and traceable:
                assert usage["totalTokens"] == truth
        else:
            assert "StatusTampered" in usage["reasons"]
        writes = sum(operator.writer.stats.written for operator in self.operators)
        self.wait(60)
        assert sum(op.writer.stats.written for op in self.operators) == writes, (
            "idle, yet it writes"
        )

    def alive(self) -> list[Pod]:
        return [p for p in self.cluster.pods.values() if p.body["status"]["phase"] == "Running"]


TwoOperators.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestTwoOperators = TwoOperators.TestCase
