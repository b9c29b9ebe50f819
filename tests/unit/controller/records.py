"""Records of objects, as the parts behind the watch hold them."""

from __future__ import annotations

from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.metering.checkpoint import new_checkpoint
from agentspec_usage.wire.observation import parse_spec

__all__ = ["record"]


def record(name: str = "bot", namespace: str = "team", **spec: object) -> ObservationRecord:
    """The record of an object that names the agent of its own name; ``spec`` adds fields."""
    return ObservationRecord(
        uid=f"uid-{namespace}-{name}",
        namespace=namespace,
        name=name,
        created_at="2026-11-22T12:00:00Z",
        resource_version="1",
        generation=1,
        checkpoint=new_checkpoint("e1"),
        spec=parse_spec({"agentRef": {"name": name}, **spec}),
    )
