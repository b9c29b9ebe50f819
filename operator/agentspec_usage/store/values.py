"""What goes into the store and comes out of it, beside frames and heartbeats.

Times are milliseconds since the epoch, UTC. A key's secret is never here: what is stored of it is
its SHA-256.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.receiving import Answers
from agentspec_usage.wire.heartbeat import HealthPhase, Heartbeat

__all__ = [
    "Agent",
    "AgentSummary",
    "Applied",
    "DigestedFrame",
    "NewKey",
    "Registration",
    "StoredHeartbeat",
    "StoredKey",
    "instance_of",
    "is_final",
]


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that was registered. ``agent_id`` stays the same for (namespace, name)."""

    agent_id: str
    namespace: str
    name: str
    runtime: str
    registered_at: int
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be stored: its public id, the SHA-256 of the whole, and until when it is good."""

    key_id: str
    digest: bytes
    expires_at: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What a key id stands for. Whether the secret fits is for the caller to compare."""

    key_id: str
    digest: bytes
    expires_at: int
    agent: Agent


@dataclass(frozen=True, slots=True)
class Registration:
    """An agent to register, or to give a new key.

    ``agent_id`` is used if the agent is new. Of its earlier keys the newest stays good until
    ``old_key_until``, the others end now: at most two are alive at any time.
    """

    agent_id: str
    namespace: str
    name: str
    runtime: str
    key: NewKey
    old_key_until: int
    manifest: str | None = None


@dataclass(frozen=True, slots=True)
class AgentSummary:
    """An agent and what its newest heartbeat said; ``last_seen`` is None without any."""

    agent: Agent
    phase: HealthPhase = HealthPhase.UNKNOWN
    score: int | None = None
    last_seen: int | None = None


@dataclass(frozen=True, slots=True)
class StoredHeartbeat:
    """The newest heartbeat of one instance, or of a sender without instances (""). Documents are
    JSON texts; ``usage`` is a snapshot of ours, encoded.
    """

    instance_id: str
    received_at: int
    health: str
    gap: str
    proof: str | None
    usage: str | None


@dataclass(frozen=True, slots=True)
class DigestedFrame:
    """A frame with its digest (``wire.records_encoding.frame_digest``)."""

    frame: Frame
    digest: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of frames, after the commit: the answers, and what is worth telling."""

    answers: Answers
    items: int = 0
    conflicts: tuple[str, ...] = ()
    """Instances of which a frame came in other bytes than the one that was applied."""
    rolled_back: tuple[str, ...] = ()
    """Instances of which calls were acknowledged once and are lost: only their sums are known."""


def instance_of(heartbeat: Heartbeat) -> str:
    """The instance that a heartbeat speaks for; "" for several, and for a sender without one."""
    snapshots = heartbeat.usage.snapshots if heartbeat.usage else ()
    return (snapshots[0].instance_id or "") if len(snapshots) == 1 else ""


def is_final(heartbeat: Heartbeat) -> bool:
    """Whether it is the last of every instance that it speaks for."""
    snapshots = heartbeat.usage.snapshots if heartbeat.usage else ()
    return bool(snapshots) and all(snapshot.final for snapshot in snapshots)
