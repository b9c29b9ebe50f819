"""Which endpoint of a pod is read: one, chosen once, never at an address that a tenant names."""

from __future__ import annotations

from typing import Any

import pytest

from agentspec_usage.controller.pods import PodView, project
from agentspec_usage.controller.sources import AGENT_PORT_NAME, SIDECAR_PORT_NAME, endpoint_of
from agentspec_usage.metering.checkpoint import Source
from agentspec_usage.scrape.outcome import Target
from agentspec_usage.wire.observation import parse_spec
from tests.fakes.kube import pod_json

IP = "10.0.0.1"
AGENT = {"name": AGENT_PORT_NAME, "containerPort": 8080}
SIDECAR = {"name": SIDECAR_PORT_NAME, "containerPort": 4501}
SERVICE = {"spec": {"selector": {"app": "web"}, "ports": [{"port": 4001, "targetPort": 4601}]}}


def pod(*ports: dict[str, Any], **changes: Any) -> PodView:
    spec = {"containers": [{"name": "agent", "ports": list(ports)}]}
    return project(pod_json("u1", spec=spec, **changes))


def chosen(
    view: PodView,
    *,
    service: dict[str, Any] | None = None,
    source: Source | None = None,
    **spec: Any,
) -> tuple[Source, int, str] | None:
    parsed = parse_spec({"agentRef": {"name": "bot"}, **spec})
    endpoint = endpoint_of(view, parsed, service, chosen=source)
    if endpoint is None:
        return None
    assert endpoint.target == Target(IP, endpoint.target.port, endpoint.target.path)
    return endpoint.source, endpoint.target.port, endpoint.target.path


@pytest.mark.parametrize(
    ("view", "service", "spec", "expected"),
    [
        pytest.param(pod(), None, {}, None, id="nothing declared"),
        pytest.param(
            pod(AGENT), None, {}, (Source.AGENT, 8080, "/agentspec/usage"), id="named agent port"
        ),
        pytest.param(
            pod(AGENT, SIDECAR), None, {}, (Source.SIDECAR, 4501, "/usage"), id="sidecar first"
        ),
        pytest.param(
            pod({"containerPort": 4001}),
            None,
            {},
            (Source.SIDECAR, 4001, "/usage"),
            id="declared sidecarPort",
        ),
        pytest.param(
            pod(AGENT), SERVICE, {}, (Source.SIDECAR, 4601, "/usage"), id="through its Service"
        ),
        pytest.param(
            pod(AGENT),
            {"spec": {"selector": {"app": "other"}, "ports": [{"port": 4001}]}},
            {},
            (Source.AGENT, 8080, "/agentspec/usage"),
            id="a Service of other pods",
        ),
        pytest.param(
            pod(AGENT),
            {"spec": {"type": "ExternalName", "selector": {"app": "web"}, "externalName": "x"}},
            {},
            (Source.AGENT, 8080, "/agentspec/usage"),
            id="an ExternalName Service",
        ),
        pytest.param(
            pod(),
            None,
            {"usagePort": 9000, "usagePath": "/u"},
            (Source.AGENT, 9000, "/u"),
            id="port and path of the spec",
        ),
    ],
)
def test_the_endpoint_of_a_pod(
    view: PodView,
    service: dict[str, Any] | None,
    spec: dict[str, Any],
    expected: tuple[Source, int, str] | None,
) -> None:
    assert chosen(view, service=service, **spec) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(Source.AGENT, (Source.AGENT, 8080, "/agentspec/usage"), id="agent"),
        pytest.param(Source.SIDECAR, (Source.SIDECAR, 4501, "/usage"), id="sidecar"),
    ],
)
def test_the_first_choice_stays_for_the_pods_life(
    source: Source, expected: tuple[Source, int, str]
) -> None:
    assert chosen(pod(AGENT, SIDECAR), source=source) == expected


def test_a_chosen_source_that_is_gone_is_not_replaced_by_the_other() -> None:
    assert chosen(pod(AGENT), source=Source.SIDECAR) is None


def test_a_pod_without_an_address_has_no_endpoint() -> None:
    assert chosen(pod(AGENT, status={"phase": "Pending"})) is None


def test_a_port_name_is_one_that_kubernetes_accepts() -> None:
    assert len(SIDECAR_PORT_NAME) <= 15
    assert len(AGENT_PORT_NAME) <= 15
