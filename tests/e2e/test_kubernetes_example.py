"""The Deployment to copy from applies as it is, and says what the programs understand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentspec_usage.cli.settings import variable
from agentspec_usage.cli.sidecar import PREFIX
from agentspec_usage.controller.pods import project
from agentspec_usage.controller.sources import endpoint_of
from agentspec_usage.devcluster import Cluster
from agentspec_usage.metering.checkpoint import Source
from agentspec_usage.sdk.environment import SIDECAR_URL
from agentspec_usage.sidecar.settings import SidecarSettings
from agentspec_usage.sidecar.upstreams import read_upstreams
from agentspec_usage.wire.observation import parse_spec

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "examples" / "kubernetes" / "agent-with-sidecar.yaml"
OBJECTS = {found["kind"]: found for found in yaml.safe_load_all(MANIFEST.read_text())}
POD_SPEC = OBJECTS["Deployment"]["spec"]["template"]["spec"]
(SIDECAR,) = POD_SPEC["initContainers"]
(AGENT,) = POD_SPEC["containers"]


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


@pytest.mark.cluster
def test_it_applies_and_its_observation_is_one_that_the_operator_reads(
    cluster: Cluster, namespace: str
) -> None:
    cluster.kubectl("apply", "-f", str(ROOT / "crds" / "agentobservations.yaml"))
    cluster.kubectl(
        "wait", "--for=condition=Established", "crd/agentobservations.agentspec.io", "--timeout=20s"
    )
    cluster.kubectl("-n", namespace, "apply", "-f", str(MANIFEST))
    listed = json.loads(cluster.kubectl("-n", namespace, "get", "ao", "-o", "json"))
    (applied,) = listed["items"]
    assert parse_spec(applied["spec"]).agent_ref.name == OBJECTS["Deployment"]["metadata"]["name"]


def test_the_operator_reads_its_pods_at_the_sidecar() -> None:
    status = {"podIPs": [{"ip": "10.1.2.3"}], "phase": "Running"}
    pod = project({"metadata": {}, "spec": POD_SPEC, "status": status})
    endpoint = endpoint_of(pod, parse_spec(OBJECTS["AgentObservation"]["spec"]), None, chosen=None)
    assert endpoint is not None
    assert (endpoint.source, endpoint.container) == (Source.SIDECAR, SIDECAR["name"])
    assert endpoint.target.port == SidecarSettings.model_fields["control_port"].default


def test_every_variable_of_the_sidecar_is_a_setting_of_it() -> None:
    settings = {variable(PREFIX, name) for name in SidecarSettings.model_fields}
    assert set(environment(SIDECAR)) - settings == set()


def test_the_agent_calls_a_prefix_of_the_upstreams_at_the_proxy_and_tells_the_control_port(
    tmp_path: Path,
) -> None:
    path = tmp_path / "upstreams.yaml"
    path.write_text(OBJECTS["ConfigMap"]["data"]["upstreams.yaml"])
    prefixes = {entry.provider: entry.prefix for entry in read_upstreams(path).upstreams}
    said, fields = environment(AGENT), SidecarSettings.model_fields
    proxy = f"http://127.0.0.1:{fields['proxy_port'].default}"
    assert said["OPENAI_BASE_URL"] == f"{proxy}{prefixes['openai']}/v1"
    assert said[SIDECAR_URL] == f"http://127.0.0.1:{fields['control_port'].default}"
