"""The API server as far as the objects of remote agents know it, with its refusals."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from agentspec_usage.kube.errors import ApiError
from agentspec_usage.kube.status_write import WriteResult

__all__ = ["RemoteCluster"]

T = TypeVar("T")


class RemoteCluster:
    """AgentObservations of one namespace under optimistic concurrency.

    ``requests`` is what was asked for, in order. ``refusals`` are answered to the next status
    writes instead of doing them; objects of ``refused_names`` are not admitted; while ``away``,
    nothing is answered at all.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.refusals: list[WriteResult] = []
        self.refused_names: set[str] = set()
        self.away = False
        self._version = 0

    def tokens(self) -> dict[str, int]:
        """``totalTokens`` by name; 0 for an object without usage."""
        return {
            name: one.get("status", {}).get("usage", {}).get("totalTokens", 0)
            for name, one in self.objects.items()
        }

    def put(self, name: str, spec: Mapping[str, Any]) -> None:
        """Somebody else makes an object."""
        self._store({"metadata": {"name": name}, "spec": dict(spec)})

    def edit(self, name: str, **fields: Any) -> None:
        """Somebody else changes an object."""
        self._store(self.objects[name] | fields)

    async def list_observations(
        self, namespace: str, each: Callable[[dict[str, Any]], T]
    ) -> Sequence[T]:
        self._answer("LIST")
        return [each(copy.deepcopy(one)) for one in self.objects.values()]

    async def get_observation(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        self._answer(f"GET {name}")
        return copy.deepcopy(self.objects.get(name))

    async def create_observation(
        self, namespace: str, observation: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        name = observation["metadata"]["name"]
        self._answer(f"POST {name}")
        if name in self.objects:
            raise ApiError(409, "AlreadyExists", "there is one")
        if name in self.refused_names:
            raise ApiError(400, "BadRequest", "admission webhook denied the request")
        self._store(observation)
        return copy.deepcopy(self.objects[name])

    async def patch_status(
        self, namespace: str, name: str, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> WriteResult:
        try:
            self._answer(f"PATCH {name}")
        except ApiError as error:
            return WriteResult("failed", None, None, str(error))
        if self.refusals:
            return self.refusals.pop(0)
        there = self.objects.get(name)
        if there is None or there["metadata"]["uid"] != uid:
            return WriteResult("gone", None, None)
        if there["metadata"]["resourceVersion"] != resource_version:
            return WriteResult("conflict", None, None)
        self._store(there | {"status": copy.deepcopy(dict(status))})
        return WriteResult("written", copy.deepcopy(self.objects[name]), None)

    def _answer(self, request: str) -> None:
        self.requests.append(request)
        if self.away:
            raise ApiError(0, "ClientConnectorError", "nobody answers")

    def _store(self, thing: Mapping[str, Any]) -> None:
        self._version += 1
        stored = copy.deepcopy(dict(thing))
        metadata = {
            "uid": f"uid-{self._version}",
            "creationTimestamp": f"2026-11-22T19:00:{self._version % 60:02}Z",
            "generation": 1,
        }
        stored["metadata"] = metadata | stored["metadata"]
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.objects[stored["metadata"]["name"]] = stored
