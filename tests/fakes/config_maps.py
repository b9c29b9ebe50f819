"""The API server as far as kept heads know it: ConfigMaps under optimistic concurrency."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from agentspec_usage.kube.errors import ApiError

__all__ = ["FakeConfigMaps"]


class FakeConfigMaps:
    """The ConfigMaps by namespace and name, and how often one was written."""

    def __init__(self) -> None:
        self.config_maps: dict[tuple[str, str], dict[str, Any]] = {}
        self.writes = 0

    async def get_config_map(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        return copy.deepcopy(self.config_maps.get((namespace, name)))

    async def create_config_map(
        self, namespace: str, config_map: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        key = (namespace, str(config_map["metadata"]["name"]))
        if key in self.config_maps:
            raise ApiError(409, "AlreadyExists", "there is one")
        return self._store(key, config_map)

    async def update_config_map(
        self, namespace: str, name: str, config_map: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        there = self.config_maps.get((namespace, name))
        if there is None:
            raise ApiError(404, "NotFound", "there is none")
        version = there["metadata"]["resourceVersion"]
        if config_map["metadata"]["resourceVersion"] != version:
            raise ApiError(409, "Conflict", "the object has been modified")
        return self._store((namespace, name), config_map)

    def _store(self, key: tuple[str, str], config_map: Mapping[str, Any]) -> Mapping[str, Any]:
        self.writes += 1
        stored = copy.deepcopy(dict(config_map))
        stored["metadata"] |= {"resourceVersion": str(self.writes)}
        self.config_maps[key] = stored
        return copy.deepcopy(stored)
