"""What the control port shows and feeds, and within which bounds."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.audit.log import Audit
from agentspec_usage.sidecar.budget.pod import PodBudget
from agentspec_usage.sidecar.calls import FrameIntake, UsageView
from agentspec_usage.sidecar.usage_log.log import UsageLog

__all__ = ["ControlBounds", "ControlParts"]


@dataclass(frozen=True, slots=True)
class ControlParts:
    """The parts of one sidecar. ``usage_log`` and ``budget`` are None where none is configured."""

    usage: UsageView
    frames: FrameIntake
    audit: Audit
    registry: CollectorRegistry
    clock: Clock
    usage_log: UsageLog | None = None
    budget: PodBudget | None = None


@dataclass(frozen=True, slots=True)
class ControlBounds:
    """``body_seconds``: in which a body must have arrived. ``bodies``: under way at once.
    ``heartbeat_seconds``: between two signs of life on a silent stream. ``stall_seconds``: after
    which a listener that takes nothing is cut off.
    """

    body_seconds: float = 10.0
    bodies: int = 32
    heartbeat_seconds: float = 15.0
    stall_seconds: float = 30.0
