"""The Kubernetes objects of the sample agents.

No kubelet runs here, so what one would report is written by the demo: each pod is Running and has
the loopback address that its process really listens on. Pods name no node, because a node that
does not exist is cleaned up after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from examples.demo.cast import NAMESPACE, SampleAgent

__all__ = [
    "AGENT_PORT",
    "COST_CENTER_LABEL",
    "SIDECAR_PORT",
    "SamplePod",
    "objects_of",
    "pods_of",
    "running_status",
]

AGENT_PORT = 8080
SIDECAR_PORT = 4001
CHECK_INTERVAL = 5
COST_CENTER_LABEL = "agentspec.io/cost-center"
_IMAGE = "registry.invalid/sample-agent:1"


@dataclass(frozen=True, slots=True)
class SamplePod:
    """One pod, with an address of its own."""

    agent: SampleAgent
    name: str
    address: str

    @property
    def agent_url(self) -> str:
        return f"http://{self.address}:{AGENT_PORT}"

    @property
    def sidecar_url(self) -> str:
        return f"http://{self.address}:{SIDECAR_PORT}"


def pods_of(agents: tuple[SampleAgent, ...], network: str) -> list[SamplePod]:
    """Every pod, at an address of its own: ``network`` is the first three bytes, within
    127.0.0.0/8."""
    owners = [(agent, index) for agent in agents for index in range(agent.replicas)]
    return [
        SamplePod(agent, f"{agent.name}-{index}", f"{network}.{number}")
        for number, (agent, index) in enumerate(owners, start=1)
    ]


def objects_of(agents: tuple[SampleAgent, ...], pods: list[SamplePod]) -> dict[str, Any]:
    """What ``kubectl apply`` takes."""
    items = [_deployment(agent) for agent in agents if agent.deployment]
    items += [_pod(pod) for pod in pods]
    items += [_observation(agent) for agent in agents]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def running_status(pod: SamplePod, now: str) -> dict[str, Any]:
    """What a kubelet would report of ``pod``."""
    status = {
        "phase": "Running",
        "podIP": pod.address,
        "podIPs": [{"ip": pod.address}],
        "startTime": now,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
        "containerStatuses": [_container_status(pod, "agent", now)],
    }
    if pod.agent.sidecar:
        status["initContainerStatuses"] = [_container_status(pod, "sidecar", now)]
    return status


def _container_status(pod: SamplePod, container: str, now: str) -> dict[str, Any]:
    return {
        "name": container,
        "image": _IMAGE,
        "imageID": "",
        "containerID": f"demo://{pod.name}-{container}",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }


def _deployment(agent: SampleAgent) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": agent.name, "namespace": NAMESPACE},
        "spec": {
            "replicas": agent.replicas,
            "selector": {"matchLabels": _own_label(agent)},
            "template": {"metadata": {"labels": _labels(agent)}, "spec": _pod_spec(agent)},
        },
    }


def _pod(pod: SamplePod) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod.name, "namespace": NAMESPACE, "labels": _labels(pod.agent)},
        "spec": _pod_spec(pod.agent),
    }


def _pod_spec(agent: SampleAgent) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "agent", "image": _IMAGE}
    if agent.counts or not agent.sidecar:
        container["ports"] = [{"name": "agentspec-usage", "containerPort": AGENT_PORT}]
    spec: dict[str, Any] = {"containers": [container]}
    if agent.sidecar:
        # An init container that goes on running: it starts before the agent and ends after it.
        spec["initContainers"] = [
            {
                "name": "sidecar",
                "image": _IMAGE,
                "restartPolicy": "Always",
                "ports": [{"name": "sidecar-usage", "containerPort": SIDECAR_PORT}],
            }
        ]
    return spec


def _labels(agent: SampleAgent) -> Mapping[str, str]:
    pays = agent.pods_cost_center
    return {**_own_label(agent), **({COST_CENTER_LABEL: pays} if pays else {})}


def _own_label(agent: SampleAgent) -> Mapping[str, str]:
    return {"app" if agent.deployment else "agentspec.io/agent": agent.name}


def _observation(agent: SampleAgent) -> dict[str, Any]:
    spec = {"agentRef": {"name": agent.name}, "checkInterval": CHECK_INTERVAL}
    if agent.cost_center:
        spec["costCenter"] = agent.cost_center
    return {
        "apiVersion": "agentspec.io/v1",
        "kind": "AgentObservation",
        "metadata": {"name": agent.name, "namespace": NAMESPACE},
        "spec": spec,
    }
