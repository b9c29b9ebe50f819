"""An AgentObservation of an agent that pushes, as it is remembered between two rounds.

The status is kept as JSON, a tenth of what the same thing takes as objects: thousands of agents may
push.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentspec_usage.controlplane.remote_status import RemoteFacts

__all__ = ["RemoteObject", "by_agent", "new_object", "remote_object"]

_SOURCE = "control-plane"


@dataclass(slots=True)
class RemoteObject:
    """The object at ``version``. ``facts`` are those that its status shows, None before the first.

    ``looked_at`` is when (monotonic seconds) the store was asked for all of them.
    """

    name: str
    agent: str
    created_at: str
    uid: str
    version: str
    generation: int
    suspended: bool
    packed: bytes
    facts: RemoteFacts | None = None
    looked_at: float = 0.0

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.packed)
        return status

    def written(self, metadata: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """The API server took ``status``."""
        self.version = str(metadata["resourceVersion"])
        self.packed = _pack(status)


def remote_object(thing: Mapping[str, Any]) -> RemoteObject | None:
    """An object as the API server tells it; None for one that is not the control plane's."""
    metadata, spec = thing["metadata"], thing.get("spec") or {}
    agent = (spec.get("agentRef") or {}).get("name")
    if spec.get("source") != _SOURCE or not isinstance(agent, str):
        return None
    return RemoteObject(
        name=str(metadata["name"]),
        agent=agent,
        created_at=str(metadata["creationTimestamp"]),
        uid=str(metadata["uid"]),
        version=str(metadata["resourceVersion"]),
        generation=int(metadata.get("generation") or 0),
        suspended=spec.get("suspend") is True,
        packed=_pack(thing.get("status") or {}),
    )


def by_agent(objects: Iterable[RemoteObject | None]) -> dict[str, RemoteObject]:
    """The object of each agent: of several the oldest, and of those of one second the first."""
    found: dict[str, RemoteObject] = {}
    for one in objects:
        if one is None:
            continue
        other = found.get(one.agent)
        if other is None or (one.created_at, one.name) < (other.created_at, other.name):
            found[one.agent] = one
    return found


def new_object(namespace: str, agent: str) -> dict[str, Any]:
    """What is created for an agent that has none."""
    return {
        "apiVersion": "agentspec.io/v1",
        "kind": "AgentObservation",
        "metadata": {
            "namespace": namespace,
            "name": agent,
            "labels": {"app.kubernetes.io/managed-by": "agentspec-usage-controlplane"},
        },
        "spec": {"agentRef": {"name": agent}, "source": _SOURCE},
    }


def _pack(status: Mapping[str, Any]) -> bytes:
    return json.dumps(status, separators=(",", ":")).encode()
