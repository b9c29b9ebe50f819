"""The agents of the benchmark, by number: where each lives, what it is called, what it has used.

Everything follows from an agent's number, so that the processes of the benchmark agree without
telling each other, and what the operator shows can be compared with what was truly used.

Each agent is one AgentObservation and one pod in one of twenty namespaces. The pod is as large as
an ordinary one (environment, probes, resources, what a kubelet reports), because watching the pods
is part of what the operator pays for.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from agentspec_usage.devcluster import Cluster

__all__ = ["INTERVAL", "PORT", "Agent", "Api", "api_of", "create", "session_to"]

INTERVAL = 30.0
"""Seconds between two readings of one agent: the default of the API."""

PORT = 18790
_NAMESPACES = 20
_TOKENS_OF_A_CALL = 1500
_WRITERS = 24


@dataclass(frozen=True, slots=True)
class Agent:
    """Agent ``number``. Every second one is busy when the fleet is."""

    number: int

    @property
    def namespace(self) -> str:
        return f"team-{self.number % _NAMESPACES:02}"

    @property
    def name(self) -> str:
        return f"agent-{self.number:05}"

    @property
    def address(self) -> str:
        """An address of its own in 127.0.0.0/8."""
        return (
            f"127.{64 + self.number // 62_500}.{self.number // 250 % 250}.{self.number % 250 + 1}"
        )

    @property
    def instance_id(self) -> str:
        return hashlib.blake2b(self.name.encode(), digest_size=16).hexdigest()

    def calls(self, steps: int) -> int:
        """Model calls made when the fleet has been busy for ``steps`` steps."""
        return 10 + (steps if self.number % 2 == 0 else 0)

    def tokens(self, steps: int) -> int:
        return self.calls(steps) * _TOKENS_OF_A_CALL

    @property
    def path(self) -> str:
        """Of its AgentObservation."""
        return f"/apis/agentspec.io/v1/namespaces/{self.namespace}/agentobservations/{self.name}"


@dataclass(frozen=True, slots=True)
class Api:
    """How a process of the benchmark reaches the API server, as its administrator."""

    url: str
    token: str
    certificate: str


def api_of(cluster: Cluster) -> Api:
    certificate = cluster.directory / "certs" / "apiserver.crt"
    return Api(cluster.url, cluster.state.token, str(certificate))


def session_to(api: Api) -> aiohttp.ClientSession:
    """A session that trusts this API server alone."""
    context = ssl.create_default_context(cafile=api.certificate)
    # Python 3.13 checks strictly, and the server's own certificate lacks a key identifier.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return aiohttp.ClientSession(
        api.url,
        connector=aiohttp.TCPConnector(ssl=context, limit=_WRITERS),
        headers={"Authorization": f"Bearer {api.token}"},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def create(cluster: Cluster, count: int) -> None:
    """Make the namespaces, pods, pod statuses and AgentObservations of ``count`` agents."""
    agents = [Agent(number) for number in range(count)]
    for namespace in sorted({agent.namespace for agent in agents}):
        cluster.ensure_namespace(namespace)
    asyncio.run(_create(api_of(cluster), agents))


async def _create(api: Api, agents: list[Agent]) -> None:
    todo = iter(agents)
    async with session_to(api) as session:
        await asyncio.gather(*[_create_each(session, todo) for _ in range(_WRITERS)])


async def _create_each(session: aiohttp.ClientSession, todo: Iterator[Agent]) -> None:
    for agent in todo:
        pods = f"/api/v1/namespaces/{agent.namespace}/pods"
        observations = agent.path.rpartition("/")[0]
        await _send(session, "POST", pods, _pod(agent))
        await _send(session, "PATCH", f"{pods}/{agent.name}/status", {"status": _running(agent)})
        await _send(session, "POST", observations, _observation(agent))


async def _send(session: aiohttp.ClientSession, method: str, path: str, body: Any) -> None:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    async with session.request(method, path, json=body, headers={"Content-Type": kind}) as answer:
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status} {(await answer.text())[:300]}")
        await answer.read()


def _observation(agent: Agent) -> dict[str, Any]:
    return {
        "apiVersion": "agentspec.io/v1",
        "kind": "AgentObservation",
        "metadata": {"name": agent.name, "namespace": agent.namespace},
        "spec": {"agentRef": {"name": agent.name}, "checkInterval": int(INTERVAL)},
    }


def _pod(agent: Agent) -> dict[str, Any]:
    environment = [
        {"name": f"SETTING_{number}", "value": f"value-{number}"} for number in range(20)
    ]
    probe = {"httpGet": {"path": "/healthz", "port": PORT}, "periodSeconds": 10}
    container = {
        "name": "agent",
        "image": "registry.invalid/agent:1",
        "ports": [{"name": "agentspec-usage", "containerPort": PORT}],
        "env": environment,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "livenessProbe": probe,
        "readinessProbe": probe,
    }
    labels = {
        "agentspec.io/agent": agent.name,
        "app.kubernetes.io/name": agent.name,
        "app.kubernetes.io/part-of": agent.namespace,
        "pod-template-hash": agent.instance_id[:10],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": agent.name, "namespace": agent.namespace, "labels": labels},
        "spec": {"containers": [container]},
    }


def _running(agent: Agent) -> dict[str, Any]:
    """What a kubelet would report."""
    now = "2026-01-01T00:00:00Z"
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
    return {
        "phase": "Running",
        "hostIP": "192.0.2.1",
        "hostIPs": [{"ip": "192.0.2.1"}],
        "podIP": agent.address,
        "podIPs": [{"ip": agent.address}],
        "startTime": now,
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": now} for kind in conditions
        ],
        "containerStatuses": [
            {
                "name": "agent",
                "image": "registry.invalid/agent:1",
                "imageID": f"registry.invalid/agent@sha256:{agent.instance_id * 2}",
                "containerID": f"containerd://{agent.instance_id * 2}",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }
        ],
    }
