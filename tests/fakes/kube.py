"""The API server as far as an election or a pod watch knows it, with its refusals."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from agentspec_usage.controller.pods import PodView
from agentspec_usage.kube.client import Listing
from agentspec_usage.kube.errors import ApiError

__all__ = ["FakeLeases", "FakePods", "Line", "pod_json"]


class FakeLeases:
    """One Lease under optimistic concurrency; each request takes ``seconds``."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.lease: dict[str, Any] | None = None
        self.writes: list[str] = []
        self._version = 0

    async def get_lease(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        await asyncio.sleep(self.seconds)
        return copy.deepcopy(self.lease)

    async def create_lease(self, namespace: str, lease: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(self.seconds)
        if self.lease is not None:
            raise ApiError(409, "AlreadyExists", "there is one")
        return self._store(lease)

    async def update_lease(
        self, namespace: str, name: str, lease: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        await asyncio.sleep(self.seconds)
        if self.lease is None:
            raise ApiError(404, "NotFound", "there is none")
        if lease["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        return self._store(lease)

    def _store(self, lease: Mapping[str, Any]) -> Mapping[str, Any]:
        self._version += 1
        self.lease = copy.deepcopy(dict(lease))
        self.lease["metadata"] |= {"resourceVersion": str(self._version)}
        self.writes.append(str(lease["spec"]["holderIdentity"]))
        return copy.deepcopy(self.lease)


class Line:
    """A replica's own line to the Lease, which can be cut without the others noticing."""

    def __init__(self, leases: FakeLeases) -> None:
        self._leases = leases
        self.cut = False

    async def get_lease(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        self._check()
        return await self._leases.get_lease(namespace, name)

    async def create_lease(self, namespace: str, lease: Mapping[str, Any]) -> Mapping[str, Any]:
        self._check()
        return await self._leases.create_lease(namespace, lease)

    async def update_lease(
        self, namespace: str, name: str, lease: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        self._check()
        return await self._leases.update_lease(namespace, name, lease)

    def _check(self) -> None:
        if self.cut:
            raise ApiError(0, "ClientConnectorError", "no route")


class FakePods:
    """LISTs and watch connections as scripted; a script that has run out waits for ever."""

    def __init__(self) -> None:
        self.lists: deque[list[dict[str, Any]] | ApiError] = deque()
        self.connections: deque[list[dict[str, Any] | ApiError]] = deque()
        self.asked: list[str] = []

    async def list_all(
        self, path: str, each: Callable[[dict[str, Any]], PodView]
    ) -> Listing[PodView]:
        self.asked.append("list")
        answer = self.lists.popleft()
        if isinstance(answer, ApiError):
            raise answer
        return Listing([each(pod) for pod in answer], "100")

    async def watch(self, path: str, resource_version: str) -> AsyncGenerator[dict[str, Any], None]:
        self.asked.append(f"watch {resource_version}")
        if not self.connections:
            await asyncio.Event().wait()
        for event in self.connections.popleft():
            if isinstance(event, ApiError):
                raise event
            yield event


def pod_json(uid: str, version: str = "1", **changes: Any) -> dict[str, Any]:
    """A running pod as the API server shows it; ``changes`` replace whole top-level parts."""
    return {
        "metadata": {
            "uid": uid,
            "name": f"pod-{uid}",
            "namespace": "team",
            "resourceVersion": version,
            "creationTimestamp": "2026-11-01T08:00:00Z",
            "labels": {"app": "web"},
        },
        "spec": {"containers": [{"name": "agent"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]},
        **changes,
    }
