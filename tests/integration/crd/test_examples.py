"""Every example applies as it is, and so does what AgentSpec's own operator takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from agentspec_usage.devcluster import Cluster
from agentspec_usage.wire.observation import parse_spec
from tests.contract.crd_schema import ROOT

pytestmark = pytest.mark.cluster

EXAMPLES = sorted((ROOT / "crds" / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_applies_and_the_operator_can_read_it(
    defined: Cluster, namespace: str, path: Path
) -> None:
    defined.kubectl("-n", namespace, "apply", "-f", str(path))

    listed = json.loads(defined.kubectl("-n", namespace, "get", "ao", "-o", "json"))
    (applied,) = listed["items"]
    parse_spec(applied["spec"])


def test_every_kind_of_example_is_there() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "job",
        "minimal",
        "selector",
        "sidecar",
        "suspended",
        "upstream-as-published",
    ]


def test_an_upstream_object_keeps_every_field(defined: Cluster, namespace: str) -> None:
    path = ROOT / "crds" / "examples" / "upstream-as-published.yaml"
    defined.kubectl("-n", namespace, "apply", "-f", str(path))

    applied = json.loads(defined.kubectl("-n", namespace, "get", "ao", "gymcoach", "-o", "json"))
    upstream = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert upstream["spec"].items() <= applied["spec"].items()


def test_the_least_spec_gets_its_defaults(defined: Cluster, namespace: str) -> None:
    path = ROOT / "crds" / "examples" / "minimal.yaml"
    defined.kubectl("-n", namespace, "apply", "-f", str(path))

    applied = json.loads(defined.kubectl("-n", namespace, "get", "ao", "support-bot", "-o", "json"))
    assert applied["spec"] == {
        "agentRef": {"name": "support-bot"},
        "checkInterval": 30,
        "sidecarPort": 4001,
        "source": "sidecar",
        "suspend": False,
        "usagePath": "/agentspec/usage",
    }
