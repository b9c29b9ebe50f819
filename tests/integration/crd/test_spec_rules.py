"""What the API server refuses in a spec, and whether its answer names the field."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.crd.observations import Observations, causes

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        pytest.param({"agentRef": {}}, "spec.agentRef.name", "Required", id="no name"),
        pytest.param(
            {"agentRef": {"name": "Not A Name"}}, "spec.agentRef.name", "should match", id="name"
        ),
        *(
            pytest.param(
                {"agentRef": {"name": name}}, "spec.agentRef.name", "should match", id=name
            )
            for name in ("a..b", ".a", "a.", "a.-b", "a-.b")
        ),
        pytest.param(
            {"agentRef": {"name": "a", "kind": "Job"}},
            "spec.agentRef.kind",
            'supported values: "Deployment"',
            id="a kind that selects no pods for good",
        ),
        pytest.param(
            {"agentRef": {"name": "a", "kind": "Pod"}, "podSelector": {"matchLabels": {"a": "b"}}},
            "spec",
            "agentRef.kind or podSelector, not both",
            id="kind and selector",
        ),
        pytest.param({"podSelector": {}}, "spec.podSelector", "every pod", id="empty selector"),
        pytest.param(
            {"podSelector": {"matchLabels": {}, "matchExpressions": []}},
            "spec.podSelector",
            "every pod",
            id="selector of empty parts",
        ),
        pytest.param(
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            "spec.podSelector.matchExpressions[0]",
            "In and NotIn need values",
            id="In without values",
        ),
        pytest.param(
            {
                "podSelector": {
                    "matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]
                }
            },
            "spec.podSelector.matchExpressions[0]",
            "Exists and DoesNotExist take none",
            id="Exists with values",
        ),
        pytest.param({"sidecarPort": 4000}, "spec.sidecarPort", "proxies", id="the proxy port"),
        pytest.param(
            {"sidecarPort": 80}, "spec.sidecarPort", "or equal to 1024", id="privileged port"
        ),
        pytest.param(
            {"usagePort": 65536}, "spec.usagePort", "or equal to 65535", id="port too high"
        ),
        pytest.param({"usagePath": "usage"}, "spec.usagePath", "should match", id="relative path"),
        pytest.param({"usagePath": "/a//b"}, "spec.usagePath", "empty segment", id="empty segment"),
        pytest.param({"usagePath": "/a?b=c"}, "spec.usagePath", "should match", id="query"),
        pytest.param({"usagePath": "/a%2e"}, "spec.usagePath", "should match", id="escape"),
        pytest.param(
            {"sidecarServiceName": "evil.example.com"},
            "spec.sidecarServiceName",
            "should match",
            id="a host name for a Service",
        ),
        pytest.param({"checkInterval": 4}, "spec.checkInterval", "or equal to 5", id="too often"),
        pytest.param(
            {"checkInterval": 3601}, "spec.checkInterval", "or equal to 3600", id="too rarely"
        ),
        pytest.param(
            {"source": "push"}, "spec.source", 'supported values: "sidecar"', id="unknown source"
        ),
    ],
)
def test_a_wrong_spec_is_refused_with_the_field(
    observations: Observations, spec: dict[str, Any], field: str, message: str
) -> None:
    refused = causes(observations.create("agent", **spec))
    assert message in refused[field]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"agentRef": {"name": "web.v2"}}, id="a name with a dot"),
        pytest.param({"agentRef": {"name": "a-1.b-2.c"}}, id="a name with dots and hyphens"),
        pytest.param({"agentRef": {"name": "a", "kind": "Service"}}, id="Service"),
        pytest.param(
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}, id="Exists"
        ),
        pytest.param({"usagePath": "/"}, id="root path"),
        pytest.param({"usagePath": f"/{'a' * 127}"}, id="longest path"),
        pytest.param({"usagePort": 1024, "checkInterval": 3600}, id="bounds"),
        pytest.param({"source": "control-plane"}, id="control plane"),
        pytest.param({"futureField": {"x": 1}}, id="a field of a later version"),
    ],
)
def test_a_right_spec_is_taken(observations: Observations, spec: dict[str, Any]) -> None:
    assert observations.create("agent", **spec).status_code == httpx.codes.CREATED


def test_kubectl_says_a_misspelt_field(observations: Observations) -> None:
    answer = observations.client.post(
        f"/apis/agentspec.io/v1/namespaces/{observations.namespace}/agentobservations",
        params={"fieldValidation": "Strict"},
        json={
            "apiVersion": "agentspec.io/v1",
            "kind": "AgentObservation",
            "metadata": {"name": "agent"},
            "spec": {"agentRef": {"name": "agent"}, "usageport": 8080},
        },
    )
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert 'unknown field "spec.usageport"' in answer.json()["message"]
