"""Clients of the session's real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentspec_usage.controller.kube import KubeApi
from agentspec_usage.devcluster import Cluster
from agentspec_usage.kube.access import connect
from agentspec_usage.kube.http import KubeHttp
from tests.contract.crd_schema import ROOT


class Admin:
    """What tests do to the cluster beside the operator: as an administrator, in plain requests."""

    def __init__(self, http: KubeHttp, namespace: str) -> None:
        self.http = http
        self.namespace = namespace
        self.pods = f"/api/v1/namespaces/{namespace}/pods"
        self.observations = f"/apis/agentspec.io/v1/namespaces/{namespace}/agentobservations"

    async def create_pod(
        self, name: str, labels: dict[str, str] | None = None, address: str = ""
    ) -> dict[str, Any]:
        """A pod that nothing runs; with ``address`` it is running there."""
        container = {"name": "agent", "image": "agent", "ports": [{"containerPort": 8080}]}
        created: dict[str, Any] = await self.http.json(
            "POST",
            self.pods,
            body={
                "metadata": {"name": name, "labels": labels or {}},
                "spec": {"containers": [container], "automountServiceAccountToken": False},
            },
        )
        if address:
            status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
            path = f"{self.pods}/{name}/status"
            operation = {"op": "add", "path": "/status", "value": status}
            created = await self.http.patch(path, [operation], "application/json")
        return created

    async def delete_pod(self, name: str) -> None:
        await self.http.json("DELETE", f"{self.pods}/{name}", body={"gracePeriodSeconds": 0})

    async def create_observation(self, name: str) -> dict[str, Any]:
        created: dict[str, Any] = await self.http.json(
            "POST",
            self.observations,
            body={
                "apiVersion": "agentspec.io/v1",
                "kind": "AgentObservation",
                "metadata": {"name": name},
                "spec": {"agentRef": {"name": name}},
            },
        )
        return created

    async def delete_observation(self, name: str) -> None:
        await self.http.json("DELETE", f"{self.observations}/{name}")


@pytest.fixture(scope="session")
def observations_defined(cluster: Cluster) -> None:
    """The cluster serves AgentObservations."""
    cluster.kubectl("apply", "-f", str(ROOT / "crds"))
    cluster.kubectl(
        "wait", "--for=condition=Established", "crd/agentobservations.agentspec.io", "--timeout=20s"
    )


@pytest.fixture
async def http(cluster: Cluster) -> AsyncIterator[KubeHttp]:
    client = KubeHttp(await connect(cluster.kubeconfig), user_agent="agentspec-usage-tests")
    yield client
    await client.close()


@pytest.fixture
async def kube(http: KubeHttp) -> KubeApi:
    return KubeApi(http)


@pytest.fixture
async def admin(http: KubeHttp, namespace: str) -> Admin:
    return Admin(http, namespace)
