"""One team's namespace: its pods, its AgentObservations, and what their status says."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from agentspec_usage.metering.counts import TokenCounts
from tests.fakes.agents import PORT, Network, Workers
from tests.fakes.raw_agents import Connection
from tests.integration.operator.waiting import until

__all__ = ["LABEL", "Team", "condition", "numbers", "numbers_of"]

LABEL = "agentspec.io/agent"

_MERGE = {"Content-Type": "application/merge-patch+json"}
_JSON = {"Content-Type": "application/json-patch+json"}


@dataclass(slots=True)
class Team:
    """Everything is done as an administrator; the operator has its own rights."""

    client: httpx.Client
    namespace: str
    network: Network
    _made: int = field(default=0)

    # Pods

    def run(
        self,
        connection: Connection,
        agent: str,
        *,
        name: str | None = None,
        address: str | None = None,
        ready: bool = True,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """A pod of ``agent`` that runs and answers with ``connection``; the pod's name."""
        address = self.network.serve(connection, address)
        return self.pod(agent, address, name=name, ready=ready, labels=labels)

    def pod(
        self,
        agent: str,
        address: str,
        *,
        name: str | None = None,
        ready: bool = True,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """A pod that runs at ``address``, where somebody may listen."""
        if name is None:
            self._made += 1
            name = f"{agent}-{self._made}"
        body = {
            "metadata": {"name": name, "labels": {LABEL: agent, **(labels or {})}},
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "agent",
                        "image": "registry.example/agent",
                        "ports": [{"name": "agentspec-usage", "containerPort": PORT}],
                    }
                ],
            },
        }
        self.client.post(self._pods(), json=body).raise_for_status()
        self.set_pod(name, running_at(address, ready=ready))
        return name

    def set_pod(self, name: str, status: Mapping[str, Any]) -> None:
        """What a kubelet would report."""
        self._patch(f"{self._pods(name)}/status", {"status": status})

    def delete_pod(self, name: str) -> None:
        answer = self.client.request("DELETE", self._pods(name), json={"gracePeriodSeconds": 0})
        answer.raise_for_status()

    def _pods(self, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{name}".rstrip("/")

    # AgentObservations

    def observe(self, name: str, **spec: Any) -> dict[str, Any]:
        """An AgentObservation with the shortest interval; by default of the agent of its name."""
        body = {
            "apiVersion": "agentspec.io/v1",
            "kind": "AgentObservation",
            "metadata": {"name": name},
            "spec": {"agentRef": {"name": name}, "checkInterval": 5} | spec,
        }
        created = self.client.post(self.path(), json=body)
        assert created.is_success, created.text
        found: dict[str, Any] = created.json()
        return found

    def get(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(self.path(name)).raise_for_status().json()
        return found

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(name).get("status") or {}
        return found

    def edit(self, name: str, **spec: Any) -> None:
        """Change fields of the spec; None removes one."""
        self._patch(self.path(name), {"spec": spec})

    def edit_status(self, name: str, operations: Sequence[Mapping[str, Any]]) -> httpx.Response:
        """A JSON patch of the status by hand."""
        return self.client.patch(
            f"{self.path(name)}/status", content=json.dumps(operations), headers=_JSON
        )

    def delete(self, name: str) -> None:
        self.client.delete(self.path(name)).raise_for_status()

    def exists(self, name: str) -> bool:
        return self.client.get(self.path(name)).is_success

    def path(self, name: str = "") -> str:
        base = f"/apis/agentspec.io/v1/namespaces/{self.namespace}/agentobservations"
        return f"{base}/{name}".rstrip("/")

    def _patch(self, path: str, body: Mapping[str, Any]) -> None:
        answer = self.client.patch(path, content=json.dumps(body), headers=_MERGE)
        assert answer.is_success, answer.text

    # Waiting

    def until_shows(
        self, name: str, truth: Workers | TokenCounts, **deadline: float
    ) -> dict[str, Any]:
        """Wait until the status has the numbers of ``truth``; the status."""

        def look() -> dict[str, Any] | None:
            wanted = truth.truth if isinstance(truth, Workers) else truth
            status = self.status(name)
            return status if numbers(status) == numbers_of(wanted) else None

        return until(
            look,
            f"{name} shows {truth.truth if isinstance(truth, Workers) else truth}",
            shown=lambda: self.status(name),
            **deadline,
        )

    def until_condition(
        self, name: str, kind: str, status: str, reason: str, **deadline: float
    ) -> dict[str, Any]:
        """Wait until the condition of ``kind`` says so; the whole status."""

        def look() -> dict[str, Any] | None:
            seen = self.status(name)
            return seen if condition(seen, kind) == (status, reason) else None

        return until(
            look,
            f"{name} has {kind}={status} {reason}",
            shown=lambda: self.status(name),
            **deadline,
        )


def running_at(address: str, *, ready: bool = True) -> dict[str, Any]:
    """The status of a pod that runs at ``address``."""
    truth = "True" if ready else "False"
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": truth}],
        "containerStatuses": [
            {
                "name": "agent",
                "image": "registry.example/agent",
                "imageID": "",
                "ready": ready,
                "restartCount": 0,
                "containerID": f"containerd://{secrets.token_hex(32)}",
                "state": {"running": {"startedAt": "2026-11-01T08:00:00Z"}},
            }
        ],
    }


def condition(status: Mapping[str, Any], kind: str) -> tuple[str, str] | None:
    """Status and reason of a condition."""
    for entry in status.get("conditions") or ():
        if entry["type"] == kind:
            return str(entry["status"]), str(entry["reason"])
    return None


def numbers(status: Mapping[str, Any]) -> dict[str, int]:
    """The counters that ``status.usage`` shows; none before the first reading."""
    usage = status.get("usage") or {}
    return {
        key: usage[key]
        for key in ("totalTokens", "inputTokens", "outputTokens", "totalCalls")
        if key in usage
    }


def numbers_of(counts: TokenCounts) -> dict[str, int]:
    """The same counters of an agent's truth."""
    return {
        "totalTokens": counts.total,
        "inputTokens": counts.input,
        "outputTokens": counts.output,
        "totalCalls": counts.calls,
    }
