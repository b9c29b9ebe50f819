"""Two views of the same agents: what kubectl shows, and what the control plane has heard."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from agentspec_usage.devcluster import Cluster
from examples.demo.cast import NAMESPACE
from examples.demo.control_plane import ControlPlane, Stored

__all__ = ["COMMAND", "WIDE_COMMAND", "control_plane_view", "kubectl_view"]

COMMAND = f"kubectl get agentobservations -n {NAMESPACE}"
WIDE_COMMAND = f"{COMMAND} -o wide"

_HEADER = ("AGENT", "PHASE", "SEEN", "INSTANCES", "HEARTBEAT TOKENS", "RECORDS", "RECORD TOKENS")


def kubectl_view(cluster: Cluster, command: str = COMMAND) -> str:
    """The table of the AgentObservations."""
    return f"$ {command}\n{cluster.kubectl(*command.split()[1:])}"


def control_plane_view(control_plane: ControlPlane) -> str:
    """``GET /agents`` as a table, with what came in heartbeats and in records of each."""
    stored = control_plane.stored()
    rows: list[tuple[str, ...]] = [_HEADER]
    for agent in sorted(control_plane.agents(), key=lambda row: str(row["agentName"])):
        rows.append(_row(agent, stored.get(agent["agentName"], Stored())))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["   ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([f"control plane at {control_plane.url}: agents", *lines, ""])


def _row(agent: Any, stored: Stored) -> tuple[str, ...]:
    usage = agent["usage"]
    instances = len(usage["instances"]) if "instances" in usage else int("instanceId" in usage)
    return (
        agent["agentName"],
        agent["phase"],
        _ago(agent["lastSeen"]),
        str(instances),
        str(usage["totalTokens"]),
        str(stored.calls),
        str(stored.tokens),
    )


def _ago(moment: str | None) -> str:
    if moment is None:
        return "-"
    return f"{max(round(time.time() - datetime.fromisoformat(moment).timestamp()), 0)}s"
