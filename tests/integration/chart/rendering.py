"""What the chart renders, as objects."""

from __future__ import annotations

import json
from typing import Any

import yaml

from agentspec_usage.devcluster import Cluster
from charts.generate import NAMESPACE
from tests.integration.chart.releases import CHART

__all__ = ["COMPONENT", "environment", "pods", "rendered", "the"]

COMPONENT = "app.kubernetes.io/component"


def rendered(cluster: Cluster, values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The chart's objects with ``values``, tests and hooks included."""
    text = cluster.helm(
        "template", "usage", str(CHART), f"--namespace={NAMESPACE}", "--values=-",
        stdin=json.dumps(values or {}),
    )  # fmt: skip
    return [document for document in yaml.safe_load_all(text) if document]


def the(objects: list[dict[str, Any]], kind: str, component: str = "operator") -> dict[str, Any]:
    """The one object of ``kind`` that belongs to ``component``."""
    (found,) = [
        each
        for each in objects
        if each["kind"] == kind and each["metadata"]["labels"][COMPONENT] == component
    ]
    return found


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every pod that comes of ``objects``: the Deployments' and those of ``helm test``."""
    templates = [each["spec"]["template"] for each in objects if each["kind"] == "Deployment"]
    return [*templates, *(each for each in objects if each["kind"] == "Pod")]


def environment(deployment: dict[str, Any]) -> dict[str, str | None]:
    """The container's variables; None where the value comes from the pod."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value") for entry in container["env"]}
