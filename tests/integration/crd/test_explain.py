"""`kubectl explain` tells what every field means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agentspec_usage.devcluster import Cluster

pytestmark = pytest.mark.cluster


def undescribed(schema: dict[str, Any], path: str) -> Iterator[str]:
    if not schema.get("description"):
        yield path
    for name, below in schema.get("properties", {}).items():
        # metadata is Kubernetes' own, given by reference.
        if name != "metadata":
            yield from undescribed(below, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from undescribed(schema[key], f"{path}[]")


def test_what_the_server_tells_kubectl_describes_every_field(defined: Cluster) -> None:
    with defined.client() as client:
        document = client.get("/openapi/v3/apis/agentspec.io/v1").raise_for_status().json()
    schema = document["components"]["schemas"]["io.agentspec.v1.AgentObservation"]
    assert list(undescribed(schema, "agentobservation")) == []


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        pytest.param("ao", "names an AI agent and shows what its model calls used", id="object"),
        pytest.param("ao.spec.agentRef", "in the namespace of this object", id="agentRef"),
        pytest.param("ao.spec.podSelector", "chosen by label", id="podSelector"),
        pytest.param("ao.status.usage", "Counters only grow", id="usage"),
        pytest.param("ao.status.usage.models.provider", "Who serves the model", id="provider"),
        pytest.param("ao.status.conditions", "every expected pod was read", id="conditions"),
    ],
)
def test_kubectl_explains(defined: Cluster, field: str, sentence: str) -> None:
    text = " ".join(defined.kubectl("explain", field).split())
    assert sentence in text
