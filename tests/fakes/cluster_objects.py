"""One namespace of an API server: objects, pods, and what the agents in the pods have really used.

Writes are refused as a real one refuses them: another uid, an older version (optimistic
concurrency), counters that fall within an accounting epoch (the CRD's rules). Reads and writes take
``seconds``; an answer may get lost after the write was done.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentspec_usage.controller.sources import AGENT_PORT_NAME
from agentspec_usage.kube.errors import ApiError
from agentspec_usage.kube.status_write import WriteResult
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.scrape.outcome import Failure, Outcome, Read, ScrapeFailure, Target
from tests.fakes.virtual_time import VirtualClock

__all__ = ["AgentProcess", "AgentScraper", "FakeCluster", "Pod"]

NAMESPACE = "team"

COUNTERS = (
    "totalTokens",
    "inputTokens",
    "outputTokens",
    "cacheReadTokens",
    "cacheWriteTokens",
    "reasoningTokens",
    "totalCalls",
    "unmeteredCalls",
)


@dataclass(slots=True)
class AgentProcess:
    """One process life and what it used."""

    instance_id: str
    started_at: int
    tokens: int = 0
    calls: int = 0
    final: bool = False

    def use(self, tokens: int) -> None:
        self.tokens += tokens
        self.calls += 1

    def snapshot(self) -> UsageSnapshot:
        counts = TokenCounts(input=self.tokens, calls=self.calls)
        return UsageSnapshot(
            totals=counts,
            rows=(SeriesRow(SeriesKey("openai", "gpt-4o"), counts),) if counts else (),
            instance_id=self.instance_id,
            observer=Observer.SDK,
            seq=self.calls,
            window_started_at=self.started_at,
            final=self.final,
        )


@dataclass(slots=True)
class Pod:
    """A pod and the processes behind its port, the dead ones without a word."""

    body: dict[str, Any]
    agents: list[AgentProcess] = field(default_factory=list)

    @property
    def uid(self) -> str:
        return str(self.body["metadata"]["uid"])

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def address(self) -> str:
        return str(self.body["status"]["podIP"])

    def reading(self) -> UsageReading:
        return UsageReading(tuple(agent.snapshot() for agent in self.agents))


class FakeCluster:
    """The API server. ``on_object`` and ``on_pod`` hear every change, as a watch would tell it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.objects: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, Pod] = {}
        self.on_object: list[Callable[[str, dict[str, Any]], None]] = []
        self.on_pod: list[Callable[[str, dict[str, Any]], None]] = []
        self.on_status: list[Callable[[Mapping[str, Any]], None]] = []
        self.requests: list[str] = []
        self.namespace_labels: dict[str, str] = {}
        self.seconds = 0.01
        self.down = False
        self.lose_answers = 0
        self._version = 100
        self._made = 0

    # What people and controllers do.

    def apply(self, name: str, spec: Mapping[str, Any]) -> str:
        """Create an object, or change its spec; its uid."""
        body = self.objects.get(name)
        if body is None:
            self._made += 1
            metadata = {
                "uid": f"{self._made:08x}-aaaa-4000-8000-000000000000",
                "namespace": NAMESPACE,
                "name": name,
                "generation": 1,
                "creationTimestamp": f"2026-11-01T08:{self._made // 60:02}:{self._made % 60:02}Z",
            }
            self.objects[name] = {"metadata": metadata, "spec": dict(spec)}
            self._announce("ADDED", name)
            return str(metadata["uid"])
        if body["spec"] != spec:
            body["spec"] = dict(spec)
            body["metadata"]["generation"] += 1
            self._announce("MODIFIED", name)
        return str(body["metadata"]["uid"])

    def label(self, name: str) -> None:
        """A change that means nothing to the operator."""
        self._announce("MODIFIED", name)

    def delete(self, name: str) -> None:
        body = self.objects.pop(name)
        self._stamp(body)
        for listener in self.on_object:
            listener("DELETED", _copy(body))

    def edit_status(self, name: str, change: Callable[[dict[str, Any]], None]) -> bool:
        """Somebody's hand on a status with usage; whether it changed anything."""
        body = self.objects[name]
        if "usage" not in body.get("status", {}):
            return False
        status = _copy(body["status"])
        change(status)
        if status == body["status"] or _forbidden(body["status"], status):
            return False
        body["status"] = status
        self._announce("MODIFIED", name)
        return True

    def start_pod(self, labels: Mapping[str, str], address: str) -> Pod:
        self._made += 1
        body = {
            "metadata": {
                "uid": f"{self._made:08x}-0000-4000-8000-000000000000",
                "name": f"pod-{self._made}",
                "namespace": NAMESPACE,
                "creationTimestamp": f"2026-11-01T09:{self._made // 60:02}:{self._made % 60:02}Z",
                "labels": dict(labels),
            },
            "spec": {
                "containers": [
                    {"name": "agent", "ports": [{"name": AGENT_PORT_NAME, "containerPort": 8080}]}
                ]
            },
            "status": {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
        pod = self.pods[f"pod-{self._made}"] = Pod(body)
        self._tell_pod("ADDED", pod)
        return pod

    def complete_pod(self, pod: Pod) -> None:
        """Its containers have ended for good; the address is free."""
        self.change_pod(pod, "Succeeded")

    def change_pod(self, pod: Pod, phase: str) -> None:
        """The pod enters ``phase``, and everybody hears it."""
        pod.body["status"]["phase"] = phase
        self._tell_pod("MODIFIED", pod)

    def end_container(self, pod: Pod, message: str, *, restarted: bool = False) -> None:
        """The agent's container ended and left ``message``; ``restarted``: and runs again."""
        end = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": message}}
        status = {"name": "agent", "state": end}
        if restarted:
            status = {"name": "agent", "state": {"running": {}}, "lastState": end}
        pod.body["status"]["containerStatuses"] = [status]
        self._tell_pod("MODIFIED", pod)

    def delete_pod(self, pod: Pod) -> None:
        del self.pods[pod.name]
        self._tell_pod("DELETED", pod)

    # What the operator asks for.

    async def get_observation(self, namespace: str, name: str) -> dict[str, Any] | None:
        await self._answer("get observation")
        body = self.objects.get(name)
        return dict(_copy(body)) if body is not None else None

    async def list_observation_metadata(
        self, namespaces: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        await self._answer("list observations")
        return [{"metadata": _copy(body["metadata"])} for body in self.objects.values()]

    async def get_pod(self, namespace: str, name: str) -> dict[str, Any] | None:
        await self._answer("get pod")
        pod = self.pods.get(name)
        return _copy(pod.body) if pod is not None else None

    async def list_pod_metadata(self, namespace: str) -> list[dict[str, Any]]:
        await self._answer("list pods")
        return [{"metadata": _copy(pod.body["metadata"])} for pod in self.pods.values()]

    async def get_workload(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        await self._answer(f"get {kind}")
        return None

    async def get_namespace(self, name: str) -> dict[str, Any] | None:
        await self._answer("get namespace")
        return {"metadata": {"name": name, "labels": dict(self.namespace_labels)}}

    async def get_service(self, namespace: str, name: str) -> dict[str, Any] | None:
        return await self.get_workload("Service", namespace, name)

    async def patch_status(
        self, namespace: str, name: str, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> WriteResult:
        try:
            await self._answer("patch")
        except ApiError as error:
            return WriteResult("failed", None, None, str(error))
        body = self.objects.get(name)
        if body is None or body["metadata"]["uid"] != uid:
            return WriteResult("gone", None, None)
        if body["metadata"]["resourceVersion"] != resource_version:
            return WriteResult("conflict", None, None)
        fault = _forbidden(body.get("status") or {}, status)
        if fault:
            return WriteResult("invalid", None, None, fault)
        body["status"] = _copy(dict(status))
        self._announce("MODIFIED", name)
        written = _copy(body)
        for listener in self.on_status:
            listener(written)
        if self.lose_answers:
            self.lose_answers -= 1
            return WriteResult("failed", None, None, "the answer is lost")
        await asyncio.sleep(self.seconds)
        return WriteResult("written", written, None)

    async def _answer(self, request: str) -> None:
        await asyncio.sleep(self.seconds)
        self.requests.append(request)
        if self.down:
            raise ApiError(0, "ClientConnectorError", "the API server is away")

    def _announce(self, kind: str, name: str) -> None:
        body = self.objects[name]
        self._stamp(body)
        for listener in self.on_object:
            listener(kind, _copy(body))

    def _stamp(self, body: dict[str, Any]) -> None:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)

    def _tell_pod(self, kind: str, pod: Pod) -> None:
        for listener in self.on_pod:
            listener(kind, _copy(pod.body))


class AgentScraper:
    """Reads whoever has the address at the moment of the answer: addresses are reused."""

    def __init__(self, cluster: FakeCluster, seconds: float = 0.05) -> None:
        self._cluster = cluster
        self.seconds = seconds
        self.asked: list[Target] = []

    async def scrape(self, target: Target) -> Outcome:
        self.asked.append(target)
        await asyncio.sleep(self.seconds)
        for pod in self._cluster.pods.values():
            if pod.address == target.address and pod.body["status"]["phase"] == "Running":
                return Read(pod.reading(), self.seconds, 100)
        return ScrapeFailure(Failure.CONNECTION_FAILED, "nobody listens", self.seconds)

    async def close(self) -> None:
        """Nothing is held."""


def _forbidden(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What the CRD's rules have against the change; empty for nothing."""
    before, after = old.get("usage"), new.get("usage")
    if after is None:
        return "status.usage may not be removed" if before is not None else ""
    if after["totalTokens"] != after["inputTokens"] + after["outputTokens"]:
        return "totalTokens must be inputTokens + outputTokens"
    if before is not None and before["accountingEpoch"] == after["accountingEpoch"]:
        for counter in COUNTERS:
            if after[counter] < before[counter]:
                return f"{counter} may not fall within one accountingEpoch"
    return ""


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))
