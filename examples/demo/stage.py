"""What is applied to the API server, the operator with its own rights, and all that plays.

Everything that is written is in the cluster's directory, which goes with the cluster.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agentspec_usage.devcluster import Cluster
from examples.demo.cast import AGENTS, COST_CENTER, NAMESPACE
from examples.demo.control_plane import ControlPlane
from examples.demo.customers import Customers
from examples.demo.manifests import COST_CENTER_LABEL, SamplePod, objects_of, running_status
from examples.demo.pods import RunningPods
from examples.demo.processes import PROGRAM, ROOT, start
from examples.demo.provider import Provider

__all__ = ["Stage", "create_agents", "install", "start_operator"]

_OPERATOR_NAMESPACE = "agentspec-system"
_OPERATOR_ACCOUNT = "agentspec-usage"
_FLAGS = (
    f"--lease-namespace={_OPERATOR_NAMESPACE}",
    "--allow-loopback",  # the sample pods' addresses
    "--health-address=127.0.0.1",
    "--health-port=0",
    "--write-min-interval=2",  # a table to look at; 15 s is kinder to a cluster
    "--log-format=text",
)


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs. ``begin`` is when the customers came."""

    cluster: Cluster
    provider: Provider
    control_plane: ControlPlane
    pods: Sequence[SamplePod]
    running: RunningPods
    customers: Customers
    operator: subprocess.Popen[bytes]
    begin: datetime


def install(cluster: Cluster) -> None:
    """What a cluster's administrator does who does not use helm."""
    cluster.kubectl("apply", "-f", str(ROOT / "crds" / "agentobservations.yaml"))
    cluster.kubectl(
        "wait", "--for=condition=Established", "crd/agentobservations.agentspec.io", "--timeout=30s"
    )
    cluster.kubectl("apply", "-f", str(ROOT / "charts" / "install.yaml"))


def start_operator(
    cluster: Cluster, control_plane: ControlPlane, log: Path
) -> subprocess.Popen[bytes]:
    """The operator as a process here, acting as the ServiceAccount that the chart made."""
    kubeconfig = cluster.service_account_kubeconfig(
        _OPERATOR_NAMESPACE, _OPERATOR_ACCOUNT, cluster.directory / "operator.kubeconfig"
    )
    environment = {"HOME": cluster.environment["HOME"]}
    flags = [
        f"--kubeconfig={kubeconfig}",
        f"--control-plane-url={control_plane.url}",
        f"--control-plane-token-file={control_plane.operator_key_file}",
        *_FLAGS,
    ]
    command = [*PROGRAM, "operator", *flags]
    return start(command, log=log, environment=environment)


def create_agents(cluster: Cluster, pods: list[SamplePod]) -> None:
    """The sample agents' objects, and their pods' status, which a kubelet would report."""
    cluster.ensure_namespace(NAMESPACE)
    cluster.kubectl("label", "namespace", NAMESPACE, f"{COST_CENTER_LABEL}={COST_CENTER}")
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(objects_of(AGENTS, pods)))
    now = f"{datetime.fromtimestamp(time.time(), tz=UTC):%Y-%m-%dT%H:%M:%SZ}"
    with cluster.client() as client:
        for pod in pods:
            client.patch(
                f"/api/v1/namespaces/{NAMESPACE}/pods/{pod.name}/status",
                content=json.dumps({"status": running_status(pod, now)}),
                headers={"Content-Type": "application/merge-patch+json"},
            ).raise_for_status()
