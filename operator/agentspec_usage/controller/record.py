"""What the operator holds of one AgentObservation: half a kilobyte and the numbers.

Ten thousand of them fit a small pod, so the status as read is kept packed and unpacked only
when a status is built, which happens when something changed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from agentspec_usage.controller.charged import Charged
from agentspec_usage.controller.pod_health import Health, PodHealth
from agentspec_usage.controller.resolution import Resolution
from agentspec_usage.controller.verdict import Problem
from agentspec_usage.kube.status_write import Priority
from agentspec_usage.metering.checkpoint import Checkpoint
from agentspec_usage.wire.observation import ObservationSpec

__all__ = ["ObservationRecord"]


@dataclass(slots=True, eq=False)
class ObservationRecord:
    """One object.

    ``written`` is the checkpoint that the status on the API server stands for; ``sent`` the one of
    the latest write, answered or not. ``unsettled`` is the priority of a write that met a conflict.
    ``departed`` are pods that may have ended, until a fresh read says so. ``charged`` is what the
    control plane said last, ``cost_center`` who pays.
    """

    uid: str
    namespace: str
    name: str
    created_at: str
    resource_version: str
    generation: int
    checkpoint: Checkpoint
    spec: ObservationSpec | None = None
    spec_error: str = ""
    written: Checkpoint | None = None
    writer_state: str = ""
    packed_status: bytes = b""
    resolution: Resolution | None = None
    attempted: bool = False
    searches: int = 0
    search_at: float = float("-inf")
    service: Mapping[str, Any] | None = None
    service_at: float = -1e9
    pods: dict[str, PodHealth] = field(default_factory=dict)
    departed: dict[str, PodHealth] = field(default_factory=dict)
    sent_state: str = ""
    sent: Checkpoint | None = None
    shown: tuple[Health | None, Problem | None, int] | None = None
    health: Health | None = None
    problem: Problem | None = None
    last_read: int | None = None
    last_update: int | None = None
    tampered_epoch: str | None = None
    stale_status: bool = True
    unsettled: Priority | None = None
    unanswered: bool = False
    charged: Charged | None = None
    cost_center: str = ""

    @property
    def age_rank(self) -> tuple[str, str]:
        """The order of seniority: the oldest object has the pods that two select. RFC 3339 sorts as
        text.
        """
        return (self.created_at, self.uid)

    @property
    def kept_by_control_plane(self) -> bool:
        """Whether the control plane writes the status, from what agents push to it."""
        return self.spec is not None and self.spec.source == "control-plane"

    @property
    def previous(self) -> dict[str, Any]:
        """The status as last read or accepted, without the packed notes."""
        if not self.packed_status:
            return {}
        parsed: dict[str, Any] = json.loads(zlib.decompress(self.packed_status))
        return parsed

    def depart(self, living: AbstractSet[str]) -> None:
        """Set aside the pods that are not among ``living``: whether they ended is for a fresh read
        to say.
        """
        for uid in [uid for uid in self.pods if uid not in living]:
            self.departed[uid] = self.pods.pop(uid)

    def remember(self, status: Mapping[str, Any]) -> None:
        """Keep ``status`` as what stands on the API server, the packed notes apart."""
        kept = {k: v for k, v in status.items() if k != "writerState"}
        # A window of 2 KiB: a status is hardly longer, and to set up the usual 32 takes ten times
        # as long.
        packer = zlib.compressobj(1, wbits=11, memLevel=5)
        text = json.dumps(kept, separators=(",", ":")).encode()
        self.packed_status = packer.compress(text) + packer.flush()
        self.writer_state = str(status.get("writerState") or "")
