"""The API server as the control plane uses it, where it is told to use it at all.

It is nothing that agents wait for: what is taken in, stored and answered is the same with a cluster
that is away, and with none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from agentspec_usage import __version__
from agentspec_usage.kube.access import connect
from agentspec_usage.kube.client import OBSERVATIONS, KubeClient, checked_name
from agentspec_usage.kube.http import KubeHttp

__all__ = ["ClusterApi", "open_cluster"]

T = TypeVar("T")

_SECONDS = 10.0
"""For a request, all in all: a program that stops tells its last head within its grace period."""

_CONFIG_MAPS = ("/api/v1", "configmaps")


class ClusterApi(KubeClient):
    """The control plane's requests. Each raises ApiError for what is neither done nor absent."""

    async def get_config_map(self, namespace: str, name: str) -> dict[str, Any] | None:
        return await self.get_named(*_CONFIG_MAPS, namespace, name)

    async def create_config_map(
        self, namespace: str, config_map: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Raises ApiError 409 when another one was faster."""
        return await self.create_named(*_CONFIG_MAPS, namespace, config_map)

    async def update_config_map(
        self, namespace: str, name: str, config_map: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Raises ApiError 409 when its resourceVersion is an older one."""
        return await self.replace_named(*_CONFIG_MAPS, namespace, name, config_map)

    async def list_observations(
        self, namespace: str, each: Callable[[dict[str, Any]], T]
    ) -> Sequence[T]:
        """Every AgentObservation of the namespace, projected by ``each`` as it comes."""
        base, plural = OBSERVATIONS
        path = f"{base}/namespaces/{checked_name(namespace)}/{plural}"
        return (await self.list_all(path, each)).items

    async def create_observation(
        self, namespace: str, observation: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Raises ApiError 409 when there is one of that name."""
        return await self.create_named(*OBSERVATIONS, namespace, observation)


@asynccontextmanager
async def open_cluster(
    kubeconfig: str, on_request: Callable[[str, str], None]
) -> AsyncIterator[KubeHttp]:
    """Requests to the API server of ``kubeconfig``, or, where it is "", of the pod's own cluster.

    Raises ``SettingsError`` when there is no such file, or when this is not a pod; not when the API
    server does not answer.
    """
    access = await connect(Path(kubeconfig) if kubeconfig else None)
    http = KubeHttp(
        access,
        user_agent=f"agentspec-usage-controlplane/{__version__}",
        timeout=_SECONDS,
        on_request=on_request,
    )
    try:
        yield http
    finally:
        await http.close()
