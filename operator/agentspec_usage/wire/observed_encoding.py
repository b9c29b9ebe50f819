"""What an operator hands in of the pods that it reads, as a value and as bytes.

    {observations: [{namespace, name, podUid, container?, seenAt, snapshot, costCenter?}]}

An observation speaks for one pod of an agent: the cumulative snapshot that the pod answered with,
in the form in which it answers. One without ``podUid`` and ``snapshot`` brings nothing and only
asks what the agent costs: an agent that is idle or scaled to zero has a new day as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from agentspec_usage.metering.snapshot import UsageReading
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.wire.usage_encoding import encode_usage

__all__ = [
    "MAX_OBSERVATIONS",
    "MAX_OBSERVED_BODY",
    "Observation",
    "encode_observation",
    "encode_observed",
]

MAX_OBSERVED_BODY = 1024 * 1024
"""Bytes of a body: the rows of three hundred agents with a dozen models each."""

MAX_OBSERVATIONS = 500
"""Entries of a body: a pod each, or an agent that is asked for."""

_OPEN, _CLOSE = b'{"observations":[', b"]}"


@dataclass(frozen=True, slots=True)
class Observation:
    """One pod's reading, or a question alone (``reading`` None).

    ``name`` is the agent's: the ``agentRef.name`` of its object, which is also what an agent
    registers by. ``container`` is the id of the present life of the container that answered, empty
    where it is not known. ``seen_at`` is when the pod was read, in milliseconds since the epoch.
    ``cost_center`` is who pays for the agent now, empty for nobody in particular.
    """

    namespace: str
    name: str
    pod_uid: str = ""
    container: str = ""
    seen_at: int | None = None
    reading: UsageReading | None = None
    cost_center: str = ""


def encode_observation(observation: Observation) -> bytes:
    """One entry of a body, in at most ``MAX_OBSERVED_BODY`` bytes by ``encode_usage``'s bound."""
    fields: dict[str, object] = {"namespace": observation.namespace, "name": observation.name}
    if observation.cost_center:
        fields["costCenter"] = observation.cost_center
    reading = observation.reading
    if reading is None:
        return _dump(fields)
    fields["podUid"] = observation.pod_uid
    if observation.container:
        fields["container"] = observation.container
    if observation.seen_at is not None:
        fields["seenAt"] = to_rfc3339(observation.seen_at)
    return _dump(fields)[:-1] + b',"snapshot":' + encode_usage(reading.snapshots) + b"}"


def encode_observed(entries: Iterable[bytes]) -> bytes:
    """The body of ``POST /usage/observed`` from entries that are encoded already."""
    return _OPEN + b",".join(entries) + _CLOSE


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
