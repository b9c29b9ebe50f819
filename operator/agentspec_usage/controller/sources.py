"""Which endpoint of a pod says what the agent used: the sidecar's or the agent's own, one per pod.

Two observers of the same calls must never be added, so a pod has one source. It is chosen when the
pod is first seen and kept for the pod's life: a source that stops answering is stale, never
replaced by the other, whose totals overlap it in a way that nobody can undo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentspec_usage.controller.pods import PodView
from agentspec_usage.metering.checkpoint import Source
from agentspec_usage.scrape.outcome import Target
from agentspec_usage.wire.observation import ObservationSpec

__all__ = ["AGENT_PORT_NAME", "SIDECAR_PORT_NAME", "Endpoint", "endpoint_of"]

SIDECAR_PORT_NAME = "sidecar-usage"
AGENT_PORT_NAME = "agentspec-usage"
# The API server refuses port names of more than 15 characters, so "agentspec-sidecar" cannot exist.
_SIDECAR_PATH = "/usage"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod's source and where to read it; ``container`` is the one that declares the port, if any
    does.
    """

    source: Source
    target: Target
    container: str


def endpoint_of(
    pod: PodView,
    spec: ObservationSpec,
    service: Mapping[str, Any] | None,
    *,
    chosen: Source | None,
) -> Endpoint | None:
    """Where to read ``pod``; None when it declares no source or has no address yet.

    ``service`` is the Service named by ``sidecarServiceName`` as read from the API server, if it
    exists; ``chosen`` the source that the pod was first given, which then is the only one
    considered.
    """
    if not pod.ips:
        return None
    address = pod.ips[0]
    if chosen is not Source.AGENT and (found := _sidecar_port(pod, spec, service)) is not None:
        port, container = found
        return Endpoint(Source.SIDECAR, Target(address, port, _SIDECAR_PATH), container)
    if chosen is not Source.SIDECAR and (found := _agent_port(pod, spec)) is not None:
        port, container = found
        return Endpoint(Source.AGENT, Target(address, port, spec.usage_path), container)
    return None


def _sidecar_port(
    pod: PodView, spec: ObservationSpec, service: Mapping[str, Any] | None
) -> tuple[int, str] | None:
    named = _declared(pod, name=SIDECAR_PORT_NAME)
    if named is not None:
        return named
    if service is not None:
        mapped = _through_service(pod, spec.sidecar_port, service)
        if mapped is not None:
            return mapped
    return _declared(pod, port=spec.sidecar_port)


def _agent_port(pod: PodView, spec: ObservationSpec) -> tuple[int, str] | None:
    if spec.usage_port is not None:
        return _declared(pod, port=spec.usage_port) or (spec.usage_port, "")
    return _declared(pod, name=AGENT_PORT_NAME)


def _declared(
    pod: PodView, *, name: str | None = None, port: int | None = None
) -> tuple[int, str] | None:
    for declared in pod.ports:
        if (name is not None and declared.name == name) or (
            port is not None and declared.port == port
        ):
            return declared.port, declared.container
    return None


def _through_service(
    pod: PodView, sidecar_port: int, service: Mapping[str, Any]
) -> tuple[int, str] | None:
    """The pod's port behind the Service's ``sidecarPort``; EndpointSlices are never read.

    A Service without a selector (ExternalName, or endpoints written by hand) leads anywhere and is
    not considered: only pods that the API server itself shows in this namespace are scraped.
    """
    spec = service.get("spec") or {}
    selector = spec.get("selector")
    if not isinstance(selector, dict) or not selector or spec.get("type") == "ExternalName":
        return None
    if any(pod.labels.get(key) != value for key, value in selector.items()):
        return None
    for entry in spec.get("ports") or ():
        if entry.get("port") != sidecar_port:
            continue
        wanted = entry.get("targetPort", sidecar_port)
        if isinstance(wanted, str):
            return _declared(pod, name=wanted)
        return _declared(pod, port=wanted) or (wanted, "")
    return None
