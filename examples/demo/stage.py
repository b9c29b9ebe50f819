"""The API server, what is applied to it, and the operator with its own rights.

Everything that is written is in the cluster's directory, which goes with the cluster.
"""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from agentspec_usage.devcluster import Cluster
from examples.demo.cast import AGENTS, NAMESPACE
from examples.demo.manifests import SamplePod, objects_of, running_status
from examples.demo.processes import ROOT, start

__all__ = ["create_agents", "install", "start_operator"]

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


def install(cluster: Cluster) -> None:
    """What a cluster's administrator does who does not use helm."""
    cluster.kubectl("apply", "-f", str(ROOT / "crds" / "agentobservations.yaml"))
    cluster.kubectl(
        "wait", "--for=condition=Established", "crd/agentobservations.agentspec.io", "--timeout=30s"
    )
    cluster.kubectl("apply", "-f", str(ROOT / "charts" / "install.yaml"))


def start_operator(cluster: Cluster, log: Path) -> subprocess.Popen[bytes]:
    """The operator as a process here, acting as the ServiceAccount that the chart made."""
    kubeconfig = cluster.service_account_kubeconfig(
        _OPERATOR_NAMESPACE, _OPERATOR_ACCOUNT, cluster.directory / "operator.kubeconfig"
    )
    environment = {"HOME": cluster.environment["HOME"]}
    command = ["-m", "agentspec_usage.cli.main", "operator", f"--kubeconfig={kubeconfig}", *_FLAGS]
    return start(command, log=log, environment=environment)


def create_agents(cluster: Cluster, pods: list[SamplePod]) -> None:
    """The sample agents' objects, and their pods' status, which a kubelet would report."""
    cluster.ensure_namespace(NAMESPACE)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(objects_of(AGENTS, pods)))
    now = f"{datetime.fromtimestamp(time.time(), tz=UTC):%Y-%m-%dT%H:%M:%SZ}"
    with cluster.client() as client:
        for pod in pods:
            client.patch(
                f"/api/v1/namespaces/{NAMESPACE}/pods/{pod.name}/status",
                content=json.dumps({"status": running_status(pod, now)}),
                headers={"Content-Type": "application/merge-patch+json"},
            ).raise_for_status()
