"""Decoding a heartbeat, in both of AgentSpec's dialects.

An SDK says ``healthy``, ``degraded``, ``unhealthy`` with ``overallScore`` and ``violations``; a
sidecar says ``ready``, ``degraded``, ``unavailable`` with ``score`` and ``issues``; either may
write camel or snake case. What is understood becomes a phase, a score and a grade; the documents
themselves are kept as they came, for whoever asks for them.

Liveness and counting are apart: a usage snapshot that does not decode makes ``usage_error`` and
leaves the phase alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from agentspec_usage.errors import WireError
from agentspec_usage.metering.snapshot import UsageReading
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.heartbeat_encoding import MAX_HEARTBEAT
from agentspec_usage.wire.shapes import Shape, wire_error
from agentspec_usage.wire.usage import decode_usage

__all__ = ["HealthPhase", "Heartbeat", "HeartbeatBody", "decode_heartbeat", "grade_of"]


class HealthPhase(StrEnum):
    """An agent's health in the words that the status uses."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    UNHEALTHY = "Unhealthy"
    UNKNOWN = "Unknown"


_PHASES = {
    "healthy": HealthPhase.HEALTHY,
    "ready": HealthPhase.HEALTHY,
    "degraded": HealthPhase.DEGRADED,
    "unhealthy": HealthPhase.UNHEALTHY,
    "unavailable": HealthPhase.UNHEALTHY,
}

_GRADES = ((90, "A"), (75, "B"), (60, "C"), (45, "D"))


class HeartbeatBody(Shape):
    """The body of ``POST /heartbeat``. ``usage`` is a snapshot, in either dialect."""

    health: dict[str, Any]
    gap: dict[str, Any]
    proof: dict[str, Any] | None = None
    usage: Any = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a heartbeat says. ``score`` is 0 to 100, None where it says none.

    ``usage_error`` is why ``usage`` is None though the body had one.
    """

    phase: HealthPhase
    score: int | None
    violations: int
    health: Mapping[str, Any]
    gap: Mapping[str, Any]
    proof: Mapping[str, Any] | None = None
    usage: UsageReading | None = None
    usage_error: WireError | None = None

    @property
    def grade(self) -> str | None:
        """The score's grade, as AgentSpec gives them."""
        return None if self.score is None else grade_of(self.score)


def grade_of(score: int) -> str:
    """A from 90, B from 75, C from 60, D from 45, else F."""
    return next((grade for least, grade in _GRADES if score >= least), "F")


def decode_heartbeat(body: bytes) -> Heartbeat:
    """Raises ``WireError`` for a body that is no heartbeat; never for its usage."""
    document = strict_json.loads(body, max_bytes=MAX_HEARTBEAT)
    if not isinstance(document, dict):
        raise WireError("", "an object")
    try:
        shape = HeartbeatBody.model_validate(document)
    except ValidationError as error:
        raise wire_error(error) from None
    usage, usage_error = _usage(shape.usage)
    return Heartbeat(
        phase=_phase(shape.health),
        score=_score(shape.gap),
        violations=_violations(shape.gap),
        health=shape.health,
        gap=shape.gap,
        proof=shape.proof,
        usage=usage,
        usage_error=usage_error,
    )


def _usage(document: object) -> tuple[UsageReading | None, WireError | None]:
    if document is None:
        return None, None
    try:
        return decode_usage(json.dumps(document).encode("ascii")), None
    except WireError as error:
        path = f"usage.{error.path}" if error.path else "usage"
        return None, WireError(path, error.expected)


def _phase(health: Mapping[str, Any]) -> HealthPhase:
    status = health.get("status")
    return _PHASES.get(status if isinstance(status, str) else "", HealthPhase.UNKNOWN)


def _score(gap: Mapping[str, Any]) -> int | None:
    for name in ("score", "overallScore", "overall_score"):
        value: Any = gap.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and 0 <= float(value) <= 100:
            return math.floor(float(value))
    return None


def _violations(gap: Mapping[str, Any]) -> int:
    for name in ("violations", "issues"):
        value = gap.get(name)
        if isinstance(value, list):
            return len(value)
        if type(value) is int and value >= 0:
            return value
    return 0
