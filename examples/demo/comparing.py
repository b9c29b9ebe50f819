"""Two statements of one number: what kubectl shows, and what each agent says it used."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentspec_usage.devcluster import Cluster
from examples.demo.cast import AGENTS, NAMESPACE, SampleAgent
from examples.demo.processes import SampleProcess

__all__ = ["Comparison", "compare_until_equal", "report", "silence"]

_SILENCE_SECONDS = 10.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Comparison:
    """One agent. ``shown`` is None while kubectl shows no number."""

    agent: SampleAgent
    used: int
    shown: int | None
    ready: str
    reason: str

    @property
    def holds(self) -> bool:
        """Equal numbers; of the agent that cannot be read, that it is said."""
        if not self.agent.readable:
            return self.ready == "False"
        return self.shown == self.used and self.ready == "True"


def silence(processes: Sequence[SampleProcess]) -> dict[str, int]:
    """Stop every model call; what each agent then says it used, by agent's name."""
    for process in processes:
        process.quiet()
    deadline = time.monotonic() + _SILENCE_SECONDS
    used = {agent.name: 0 for agent in AGENTS}
    for process in processes:
        used[process.pod.agent.name] += sum(n or 0 for n in process.used(deadline))
    return used


def compare_until_equal(
    cluster: Cluster, used: Mapping[str, int], seconds: float
) -> list[Comparison]:
    """Compare until everything holds, for ``seconds`` at most: the operator reads every few
    seconds."""
    deadline = time.monotonic() + seconds
    while True:
        comparisons = _compare(cluster, used)
        if all(c.holds for c in comparisons) or time.monotonic() > deadline:
            return comparisons
        time.sleep(_POLL_SECONDS)


def report(comparisons: Sequence[Comparison]) -> str:
    """A line an agent."""
    lines = [f"{'AGENT':<14}{'KUBECTL':>12}{'AGENT SAYS':>14}  "]
    for c in comparisons:
        shown = "-" if c.shown is None else str(c.shown)
        said = str(c.used) if c.agent.readable else "-"
        verdict = "equal" if c.agent.readable else "cannot be read, and kubectl says so"
        if not c.holds:
            verdict = f"NOT EQUAL (Ready is {c.ready}, {c.reason})"
        lines.append(f"{c.agent.name:<14}{shown:>12}{said:>14}  {verdict}")
    return "\n".join(lines)


def _compare(cluster: Cluster, used: Mapping[str, int]) -> list[Comparison]:
    text = cluster.kubectl("get", "agentobservations", "-n", NAMESPACE, "-o", "json")
    statuses = {
        item["metadata"]["name"]: item.get("status", {}) for item in json.loads(text)["items"]
    }
    comparisons = []
    for agent in AGENTS:
        status = statuses.get(agent.name, {})
        conditions = {c["type"]: c for c in status.get("conditions", ())}
        ready = conditions.get("Ready", {})
        comparisons.append(
            Comparison(
                agent,
                used[agent.name],
                status.get("usage", {}).get("totalTokens"),
                ready.get("status", "missing"),
                ready.get("reason", "no reason"),
            )
        )
    return comparisons
