"""Which pods an object speaks of: the order of the search, what is refused, what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from agentspec_usage.controller.pod_index import PodIndex
from agentspec_usage.controller.pods import project
from agentspec_usage.controller.resolution import (
    Resolution,
    Unresolved,
    resolution_from_status,
    resolution_to_status,
    resolve,
)
from agentspec_usage.controller.selector import Selector
from agentspec_usage.wire.observation import parse_spec
from tests.fakes.kube import pod_json


class Workloads:
    """Workloads by kind, all of them named ``bot``; remembers what was asked for."""

    def __init__(self, **specs: Mapping[str, Any]) -> None:
        self._specs = specs
        self.asked: list[str] = []

    async def get_workload(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        self.asked.append(kind)
        return {"spec": self._specs[kind]} if kind in self._specs and name == "bot" else None


def found(
    spec: dict[str, Any], workloads: Workloads | None = None, *, labelled: bool = False
) -> Resolution | Unresolved:
    pods = PodIndex()
    if labelled:
        body = pod_json("u1")
        body["metadata"]["labels"] = {"agentspec.io/agent": "bot"}
        pods.put(project(body))
    parsed = parse_spec({"agentRef": {"name": "bot"}, **spec})
    return asyncio.run(resolve(parsed, "team", pods=pods, workloads=workloads or Workloads()))


DEPLOYMENT = {"selector": {"matchLabels": {"app": "d"}}}
SERVICE = {"selector": {"app": "s"}}


@pytest.mark.parametrize(
    ("spec", "workloads", "labelled", "kind", "selector"),
    [
        pytest.param(
            {"podSelector": {"matchLabels": {"app": "x"}}},
            Workloads(Deployment=DEPLOYMENT),
            True,
            "PodSelector",
            "app=x",
            id="podSelector before all",
        ),
        pytest.param(
            {"agentRef": {"name": "bot", "kind": "Service"}},
            Workloads(Deployment=DEPLOYMENT, Service=SERVICE),
            True,
            "Service",
            "app=s",
            id="the kind before the label",
        ),
        pytest.param(
            {},
            Workloads(Deployment=DEPLOYMENT),
            True,
            "Label",
            "agentspec.io/agent=bot",
            id="the label before a Deployment",
        ),
        pytest.param(
            {},
            Workloads(Deployment=DEPLOYMENT, Service=SERVICE),
            False,
            "Deployment",
            "app=d",
            id="a Deployment before a Service",
        ),
        pytest.param({}, Workloads(Service=SERVICE), False, "Service", "app=s", id="a Service"),
    ],
)
def test_the_first_that_names_pods_is_taken(
    spec: dict[str, Any], workloads: Workloads, labelled: bool, kind: str, selector: str
) -> None:
    resolution = found(spec, workloads, labelled=labelled)
    assert isinstance(resolution, Resolution)
    assert (resolution.kind, str(resolution.selector)) == (kind, selector)


@pytest.mark.parametrize(
    "service",
    [
        pytest.param({}, id="without a selector"),
        pytest.param({"selector": {"a": "b"}, "type": "ExternalName"}, id="ExternalName"),
    ],
)
def test_a_service_that_leads_anywhere_is_refused(service: dict[str, Any]) -> None:
    refused = found({"agentRef": {"name": "bot", "kind": "Service"}}, Workloads(Service=service))
    assert isinstance(refused, Unresolved)


def test_nothing_found_says_what_was_looked_for() -> None:
    workloads = Workloads()
    missing = found({}, workloads)
    assert isinstance(missing, Unresolved)
    assert "agentspec.io/agent" in missing.message
    assert workloads.asked == ["Deployment", "StatefulSet", "DaemonSet", "Pod", "Service"]


@pytest.mark.parametrize(
    "resolution",
    [
        pytest.param(Resolution("Deployment", "bot", Selector.of({"a": "b"})), id="selector"),
        pytest.param(Resolution("Pod", "bot", None), id="pod"),
        pytest.param(Resolution("PodSelector", "", Selector.of({"a": "b", "c": "d"})), id="spec"),
    ],
)
def test_a_resolution_is_kept_in_the_status(resolution: Resolution) -> None:
    assert resolution_from_status(resolution_to_status(resolution)) == resolution


def test_a_selector_that_a_status_has_no_room_for_is_found_anew() -> None:
    """Regression: the API server refused every status write of such an object."""
    selector = Selector.of({f"{'k' * 60}{number}": "v" * 60 for number in range(20)})
    target = resolution_to_status(Resolution("Deployment", "bot", selector))
    assert target == {"kind": "Deployment", "name": "bot"}
    assert resolution_from_status(target) is None


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(None, id="nothing"),
        pytest.param({}, id="empty"),
        pytest.param({"kind": "Pod"}, id="a pod without a name"),
        pytest.param({"kind": "Deployment", "name": "x", "selector": "((("}, id="unreadable"),
    ],
)
def test_what_cannot_be_read_back_is_resolved_again(target: dict[str, str] | None) -> None:
    assert resolution_from_status(target) is None
