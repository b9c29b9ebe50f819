"""What the control plane's own endpoints take and answer, declared once: for decoding and for the
OpenAPI document. Frames, heartbeats and snapshots are ``wire``'s.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from agentspec_usage.wire.shapes import Shape

__all__ = [
    "AGENT_NAME",
    "AgentRow",
    "DurableSeq",
    "GapAnswer",
    "HeartbeatAnswerBody",
    "Problem",
    "RecordsAnswerBody",
    "RegisterAnswer",
    "RegisterBody",
]

AGENT_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""An RFC 1123 label."""

REMOTE_NAMESPACE = "agentspec-remote"
"""Where agents belong that run outside of Kubernetes and name no namespace."""

MAX_OVERLAP = 86_400

Name = Annotated[str, Field(pattern=AGENT_NAME)]


class RegisterBody(Shape):
    """An agent to register, or to give a new key."""

    agent_name: Name
    runtime: Literal["bedrock", "vertex", "docker", "local", "k8s"]
    namespace: Name | None = Field(
        None, description=f"required for runtime k8s; else {REMOTE_NAMESPACE}"
    )
    manifest: dict[str, Any] | None = None
    overlap_seconds: int = Field(
        0, ge=0, le=MAX_OVERLAP, description="how long the newest old key stays good"
    )

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if self.runtime == "k8s" and self.namespace is None:
            raise PydanticCustomError("namespace", "Input should be with a namespace: it is k8s")
        return self


class RegisterAnswer(Shape):
    """The key is shown here and nowhere else."""

    agent_id: str
    api_key: str
    expires_at: str


class AgentRow(Shape):
    """An agent and what its newest heartbeat said; null where it said nothing."""

    agent_id: str
    agent_name: str
    namespace: str
    runtime: str
    phase: str
    grade: str | None
    score: int | None
    last_seen: str | None
    registered_at: str
    revoked_at: str | None


class HeartbeatAnswerBody(Shape):
    """Up to which call of the instance everything is durable, and where frames are taken."""

    durable: int
    records: str


class DurableSeq(Shape):
    instance_id: str
    seq: int


class GapAnswer(Shape):
    instance_id: str
    have: int


class RecordsAnswerBody(Shape):
    """What is durable of each instance, and where a frame began beyond what is stored."""

    durable: list[DurableSeq]
    gaps: list[GapAnswer]


class Problem(Shape):
    """RFC 9457. ``field`` and ``expected`` where a field of the request is wrong."""

    status: int
    title: str
    detail: str
    field: str | None = None
    expected: str | None = None
