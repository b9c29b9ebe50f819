"""What the operator alone asks the API server for: pods, and the workloads that own them."""

from __future__ import annotations

from typing import Any

from agentspec_usage.controller.pods import PodView, project
from agentspec_usage.errors import UsageError
from agentspec_usage.kube.client import KubeClient, Listing, checked_name, trimmed

__all__ = ["KubeApi", "pods_path"]

_WORKLOADS = {
    "Deployment": ("/apis/apps/v1", "deployments"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "DaemonSet": ("/apis/apps/v1", "daemonsets"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"),
}


class KubeApi(KubeClient):
    """The operator's requests. Each raises ApiError for what is neither done nor absent."""

    async def get_pod(self, namespace: str, name: str) -> dict[str, Any] | None:
        return await self.get_named("/api/v1", "pods", namespace, name)

    async def list_pods(self, namespace: str, selector: str = "") -> Listing[PodView]:
        """The pods of a namespace, fresh."""
        params = {"labelSelector": selector} if selector else None
        return await self.list_all(pods_path(namespace), project, params=params)

    async def list_pod_metadata(self, namespace: str) -> list[dict[str, Any]]:
        """``PartialObjectMetadata`` of the pods of a namespace, fresh: which uids there are."""
        return (await self.list_all(pods_path(namespace), trimmed, metadata_only=True)).items

    async def get_workload(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """A Deployment, StatefulSet, DaemonSet, ReplicaSet, Pod or Service."""
        if kind not in _WORKLOADS:
            raise UsageError(f"kind {kind!r}: expected one of {', '.join(_WORKLOADS)}")
        return await self.get_named(*_WORKLOADS[kind], namespace, name)

    async def get_namespace(self, name: str) -> dict[str, Any] | None:
        return await self.get(f"/api/v1/namespaces/{checked_name(name)}")

    async def get_service(self, namespace: str, name: str) -> dict[str, Any] | None:
        return await self.get_workload("Service", namespace, name)


def pods_path(namespace: str) -> str:
    """The collection of a namespace's pods; of the whole cluster's for an empty name."""
    return f"/api/v1/namespaces/{checked_name(namespace)}/pods" if namespace else "/api/v1/pods"
