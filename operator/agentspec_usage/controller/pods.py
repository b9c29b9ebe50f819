"""A pod as the operator needs it: its name, its addresses, what it declares, whether it lives.

A pod of the API server is 5 to 10 kB of JSON. Ten thousand of them must fit beside everything else,
so each is projected to a small frozen value as soon as it arrives, its repeated texts shared, and
the JSON is dropped. Two views are equal when nothing that the operator looks at differs: an update
that changes only what was left out is no change.

The projection is tolerant (a field that is missing or of another type reads as absent) and bounded:
pods are written by tenants, and one with a hundred thousand labels must not cost its neighbours
memory.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from agentspec_usage.runtime.clock import from_rfc3339

__all__ = ["ContainerPort", "LastWords", "PodView", "project"]

_MAX_LABELS = 256
_MAX_CONTAINERS = 64
_MAX_PORTS = 256
_MAX_IPS = 8
_MAX_WORDS = 12 * 1024
"""Bytes of last words of one pod: what a kubelet keeps of all its containers' messages."""
_NO_LABELS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a container declares; ``name`` is empty when it has none."""

    container: str
    name: str
    port: int
    protocol: str


@dataclass(frozen=True, slots=True)
class LastWords:
    """What a container that ended left in its termination log, if it may be a usage snapshot."""

    container: str
    message: str


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod as last seen.

    ``owner`` is the controlling owner's kind and name. ``ips`` as Kubernetes reports them, the
    primary first; they are reused by other pods, so ``uid`` alone identifies. ``containers`` pairs
    each container's name with the id of its present incarnation, empty before it first started.
    ``last_words`` are those of the newest incarnations that ended. ``created_at`` in milliseconds
    since the epoch.
    """

    uid: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    owner: tuple[str, str] | None
    ips: tuple[str, ...]
    phase: str
    ready: bool
    host_network: bool
    ports: tuple[ContainerPort, ...]
    containers: tuple[tuple[str, str], ...]
    created_at: int
    deleting: bool
    last_words: tuple[LastWords, ...] = ()

    def incarnation(self, container: str) -> str:
        """The id of the container of that name: one that was restarted is another."""
        return next((known for name, known in self.containers if name == container), "")

    @property
    def ended(self) -> bool:
        """Succeeded or Failed: its containers will not run again."""
        return self.phase in ("Succeeded", "Failed")


def project(pod: Mapping[str, Any]) -> PodView:
    """The view of a pod's JSON (``v1`` Pod)."""
    metadata = _mapping(pod.get("metadata"))
    spec = _mapping(pod.get("spec"))
    status = _mapping(pod.get("status"))
    return PodView(
        uid=_text(metadata.get("uid")),
        namespace=_shared(metadata.get("namespace")),
        name=_text(metadata.get("name")),
        labels=_labels(metadata.get("labels")),
        owner=_owner(metadata),
        ips=_ips(status),
        phase=_shared(status.get("phase")),
        ready=_ready(status),
        host_network=spec.get("hostNetwork") is True,
        ports=_ports(spec),
        containers=_containers(status),
        created_at=_created_at(metadata),
        deleting=bool(metadata.get("deletionTimestamp")),
        last_words=_last_words(status),
    )


def _labels(value: object) -> Mapping[str, str]:
    pairs = {
        _shared(key): _shared(text)
        for key, text in _head(_mapping(value).items(), _MAX_LABELS)
        if isinstance(text, str)
    }
    return pairs or _NO_LABELS


def _owner(metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    for reference in _items(metadata.get("ownerReferences"), _MAX_CONTAINERS):
        if reference.get("controller") is True:
            return _shared(reference.get("kind")), _shared(reference.get("name"))
    return None


def _ips(status: Mapping[str, Any]) -> tuple[str, ...]:
    several = tuple(
        entry["ip"]
        for entry in _items(status.get("podIPs"), _MAX_IPS)
        if isinstance(entry.get("ip"), str) and entry["ip"]
    )
    if several:
        return several
    single = status.get("podIP")
    return (single,) if isinstance(single, str) and single else ()


def _ready(status: Mapping[str, Any]) -> bool:
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in _items(status.get("conditions"), _MAX_CONTAINERS)
    )


def _ports(spec: Mapping[str, Any]) -> tuple[ContainerPort, ...]:
    ports = [
        ContainerPort(
            container=_shared(container.get("name")),
            name=_shared(declared.get("name")),
            port=number,
            protocol=_shared(declared.get("protocol")) or "TCP",
        )
        for container in _serving(spec)
        for declared in _items(container.get("ports"), _MAX_PORTS)
        if isinstance(number := declared.get("containerPort"), int)
    ]
    return tuple(ports[:_MAX_PORTS])


def _serving(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Containers that run side by side: native sidecars are init containers that restart."""
    yield from _items(spec.get("containers"), _MAX_CONTAINERS)
    for container in _items(spec.get("initContainers"), _MAX_CONTAINERS):
        if container.get("restartPolicy") == "Always":
            yield container


def _containers(status: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (_shared(state.get("name")), _text(state.get("containerID")))
        for state in _container_statuses(status)
    )


def _last_words(status: Mapping[str, Any]) -> tuple[LastWords, ...]:
    """Of each container its present end and the one before, within one bound for the pod."""
    words: list[LastWords] = []
    room = _MAX_WORDS
    for state in _container_statuses(status):
        for field in ("state", "lastState"):
            ended = _mapping(_mapping(state.get(field)).get("terminated"))
            message = _text(ended.get("message"))
            size = len(message.encode(errors="replace"))
            # What is no snapshot of an instance (a stack trace, a farewell) is not kept at all.
            if size <= room and '"instanceId"' in message:
                room -= size
                words.append(LastWords(_shared(state.get("name")), message))
    return tuple(words)


def _container_statuses(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for field in ("containerStatuses", "initContainerStatuses"):
        yield from _items(status.get(field), _MAX_CONTAINERS)


def _created_at(metadata: Mapping[str, Any]) -> int:
    try:
        return from_rfc3339(_text(metadata.get("creationTimestamp")))
    except ValueError:
        return 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: object, most: int) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for entry in value[:most]:
            if isinstance(entry, dict):
                yield entry


def _head(pairs: Any, most: int) -> Iterator[tuple[str, Any]]:
    for index, pair in enumerate(pairs):
        if index == most:
            return
        yield pair


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _shared(value: object) -> str:
    """A text that many pods have in common, kept once."""
    return sys.intern(value) if type(value) is str else ""
