"""Encoding a heartbeat, with the standard library alone: agents import this.

A heartbeat is small by contract. What an agent says of its health goes first; the usage snapshot
takes the room that is left, and leaves out rows (never totals) to fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.wire.usage_encoding import encode_usage

__all__ = ["MAX_HEARTBEAT", "encode_heartbeat"]

MAX_HEARTBEAT = 65_536
"""Bytes of a heartbeat's body."""

_USAGE = b',"usage":'

_LEAST_SNAPSHOT = 2048
"""What a snapshot of one instance without rows fits into."""


def encode_heartbeat(
    health: Mapping[str, object],
    gap: Mapping[str, object],
    snapshots: Sequence[UsageSnapshot] = (),
    proof: Mapping[str, object] | None = None,
) -> bytes:
    """The body of ``POST /heartbeat``. ``UsageError`` when health, gap and proof leave no room."""
    fields: dict[str, object] = {"health": dict(health), "gap": dict(gap)}
    if proof is not None:
        fields["proof"] = dict(proof)
    body = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")
    room = MAX_HEARTBEAT - len(body) - len(_USAGE)
    if room < (_LEAST_SNAPSHOT if snapshots else 0):
        raise UsageError(
            f"heartbeat of {len(body)} bytes before its usage: expected room for it in "
            f"{MAX_HEARTBEAT}"
        )
    if not snapshots:
        return body
    return body[:-1] + _USAGE + encode_usage(snapshots, max_bytes=room) + b"}"
