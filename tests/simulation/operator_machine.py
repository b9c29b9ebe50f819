"""Two whole operators on one API server, and the truth about the agents.

The operators are the shipped parts on virtual time; their writes go through the shipped client as
JSON patches, so that what protects a write is in the bytes that were sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from agentspec_usage.controller.kube import KubeApi
from agentspec_usage.kube.errors import ApiError
from agentspec_usage.kube.http import KubeHttp
from agentspec_usage.kube.status_write import WriteResult
from agentspec_usage.scrape.outcome import Failure, Outcome, ScrapeFailure, Target
from tests.fakes.cluster_objects import AgentProcess, AgentScraper, FakeCluster, Pod
from tests.fakes.operators import FakeOperator
from tests.fakes.virtual_time import VirtualTimeLoop
from tests.simulation.laws import Violated

__all__ = ["OperatorMachine"]

NAME = "bot"
LABELS = {"agentspec.io/agent": NAME}
SPEC = {"agentRef": {"name": NAME}, "checkInterval": 5}


class PatchedCluster(FakeCluster):
    """Status writes arrive as the patch that the shipped client sends."""

    def __init__(self, broken: list[Violated]) -> None:
        super().__init__()
        self._kube = KubeApi(cast(KubeHttp, _Patches(self)))
        self._broken = broken

    async def patch_status(
        self, namespace: str, name: str, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> WriteResult:
        stood_at = self.objects[name]["metadata"]["resourceVersion"] if self.objects else ""
        result = await self._kube.patch_status(namespace, name, uid, resource_version, status)
        if result.kind == "written" and int(resource_version) < int(stood_at or 0):
            self._broken.append(Violated("I8", f"a write from {resource_version} at {stood_at}"))
        return result

    async def take(self, uid: str, resource_version: str | None, status: Any) -> WriteResult:
        """What the API server does with a patch; without a version it compares none."""
        here = self.objects[NAME]["metadata"]["resourceVersion"]
        version = here if resource_version is None else resource_version
        return await super().patch_status("team", NAME, uid, version, status)


class _Patches:
    """The one request that the operator writes with, as ``KubeHttp`` has it."""

    def __init__(self, cluster: PatchedCluster) -> None:
        self._cluster = cluster

    async def patch(
        self, path: str, operations: Sequence[Mapping[str, Any]], accept: str
    ) -> dict[str, Any]:
        values = {operation["path"]: operation["value"] for operation in operations}
        result = await self._cluster.take(
            values["/metadata/uid"], values.get("/metadata/resourceVersion"), values["/status"]
        )
        if result.kind == "written" and result.object is not None:
            return {"metadata": dict(result.object["metadata"])}
        status = {"conflict": 409, "gone": 404, "invalid": 422}.get(result.kind, 0)
        raise ApiError(status, result.kind, result.message)


class FlakyScraper(AgentScraper):
    """Agents do not answer while ``away``."""

    away = False

    async def scrape(self, target: Target) -> Outcome:
        if self.away:
            await asyncio.sleep(self.seconds)
            return ScrapeFailure(Failure.TIMEOUT, "no answer", self.seconds)
        return await super().scrape(target)


class OperatorMachine(RuleBasedStateMachine):
    """``agents`` is the truth: every process that ever ran."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        asyncio.set_event_loop(self.loop)
        self.broken: list[Violated] = []
        self.agents: list[AgentProcess] = []
        self.ended = False
        self.shown = 0

    @initialize()
    def begin(self) -> None:
        self.loop.run_until_complete(self._begin())

    async def _begin(self) -> None:
        self.cluster = PatchedCluster(self.broken)
        self.cluster.on_status.append(self.check)
        self.cluster.apply(NAME, SPEC)
        self.operators = [self._operator(name) for name in "ab"]
        self._start_pod()

    def _operator(self, name: str) -> FakeOperator:
        operator = FakeOperator(self.cluster, name)
        operator.scraper = FlakyScraper(self.cluster)
        operator.reconciler._scraper = operator.scraper
        operator.start()
        return operator

    def _start_pod(self) -> None:
        pod = self.cluster.start_pod(LABELS, f"10.0.0.{len(self.agents) + 1}")
        agent = AgentProcess(f"{len(self.agents) + 1:032x}", self.cluster.clock.now())
        self.agents.append(agent)
        pod.agents.append(agent)

    def check(self, body: Mapping[str, Any]) -> None:
        usage = body["status"].get("usage")
        if usage is None:
            return
        tokens, truth = usage["totalTokens"], sum(agent.tokens for agent in self.agents)
        if tokens > truth:
            self.broken.append(Violated("I7", f"status says {tokens} of {truth}"))
        if tokens < self.shown:
            self.broken.append(Violated("I7", f"status falls from {self.shown} to {tokens}"))
        self.shown = tokens
        if not self.ended and "PodExitedUnscraped" in usage["reasons"]:
            self.broken.append(Violated("I5", "a loss is flagged and no pod has ended"))

    def pod(self, number: int) -> Pod:
        pods = list(self.cluster.pods.values())
        return pods[number % len(pods)]

    def wait(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        if self.broken:
            raise self.broken[0]
        for operator in self.operators:
            operator.check_alive()
            if operator.writer.stats.invalid:
                raise Violated("I7", "the API server refused a status as invalid")

    @rule(number=st.integers(0, 5), tokens=st.integers(1, 100), seconds=st.sampled_from([1, 8, 20]))
    def agent_uses(self, number: int, tokens: int, seconds: float) -> None:
        if self.cluster.pods:
            for agent in self.pod(number).agents:
                agent.use(tokens)
        self.wait(seconds)

    @rule(number=st.integers(0, 5), starts=st.booleans())
    def pod_comes_or_goes(self, number: int, starts: bool) -> None:
        if starts:
            self.loop.run_until_complete(self._started())
        elif self.cluster.pods:
            self.ended = True
            self.cluster.delete_pod(self.pod(number))

    async def _started(self) -> None:
        self._start_pod()

    @rule(which=st.integers(0, 1), away=st.booleans())
    def agents_are_away(self, which: int, away: bool) -> None:
        scraper = self.operators[which].scraper
        assert isinstance(scraper, FlakyScraper)
        scraper.away = away
        self.wait(20)

    @rule(which=st.integers(0, 1), seconds=st.sampled_from([0.0, 0.5, 8.0]))
    def views_lag(self, which: int, seconds: float) -> None:
        self.operators[which].lag = seconds

    @rule(seconds=st.sampled_from([0.01, 0.3, 4.0]))
    def api_server_is_slow(self, seconds: float) -> None:
        self.cluster.seconds = seconds

    @rule(which=st.integers(0, 1), number=st.integers(0, 99))
    def operator_is_replaced(self, which: int, number: int) -> None:
        async def replace() -> FakeOperator:
            await self.operators[which].kill()
            return self._operator(f"{'ab'[which]}{number}")

        self.operators[which] = self.loop.run_until_complete(replace())

    @rule(which=st.integers(0, 1))
    def pod_watch_starts_over(self, which: int) -> None:
        """A new list, and what it does not show yet is taken for gone until it does."""
        operator = self.operators[which]

        async def start_over() -> None:
            for pod in list(self.cluster.pods.values()):
                operator.see_pod("DELETED", pod.body)
                operator.hear_pod("ADDED", pod.body)

        self.loop.run_until_complete(start_over())
        self.wait(5)

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
        self.cluster.seconds = 0.01
        for operator in self.operators:
            operator.lag = 0.0
            assert isinstance(operator.scraper, FlakyScraper)
            operator.scraper.away = False
        self.wait(60)
        living = sum(agent.tokens for pod in self.cluster.pods.values() for agent in pod.agents)
        usage = self.cluster.objects[NAME].get("status", {}).get("usage")
        if usage is not None and usage["totalTokens"] < living:
            raise Violated("I17", f"status says {usage['totalTokens']} of {living} living")
