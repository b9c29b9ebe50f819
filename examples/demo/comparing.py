"""Five statements of one number: what the provider bills an agent, what the agent says it used and
what its sidecar does, what kubectl shows, and what the control plane has stored.

They are compared when nobody asks any more. The control plane's is read last, after the agents have
ended, because what an agent pushes at its end belongs to it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from agentspec_usage.devcluster import Cluster
from examples.demo.cast import AGENTS, NAMESPACE, SampleAgent
from examples.demo.manifests import SamplePod

__all__ = [
    "Comparison",
    "Shown",
    "report",
    "said_by_agents",
    "said_by_sidecars",
    "shown_until_equal",
]

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Shown:
    """What kubectl shows of an agent. ``tokens`` is None while it shows no number."""

    tokens: int | None = None
    ready: str = "missing"
    reason: str = "no reason"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One agent, and who says of it how many tokens it used: None who says nothing."""

    agent: SampleAgent
    shown: Shown
    billed: int | None = None
    said: int | None = None
    said_by_sidecar: int | None = None
    stored: int | None = None

    @property
    def holds(self) -> bool:
        """Everybody who has to say a number says the same one; of the agent that cannot be read,
        that is said.
        """
        if not self.agent.readable:
            return self.shown.ready == "False"
        numbers = {self.billed, self.shown.tokens}
        if self.agent.counts:
            numbers.add(self.said)
        if self.agent.sidecar:
            numbers.add(self.said_by_sidecar)
        if self.agent.registered:
            numbers.add(self.stored)
        return len(numbers) == 1 and bool(self.billed) and self.shown.ready == "True"


def said_by_agents(pods: Sequence[SamplePod]) -> Mapping[str, int]:
    """What each agent says it used, as far as it counts: the sum of its pods' answers."""
    return _sums((pod, f"{pod.agent_url}/agentspec/usage") for pod in pods if pod.agent.counts)


def said_by_sidecars(pods: Sequence[SamplePod]) -> Mapping[str, int]:
    """What each agent's sidecars say it used."""
    return _sums((pod, f"{pod.sidecar_url}/usage") for pod in pods if pod.agent.sidecar)


def _sums(urls: Iterable[tuple[SamplePod, str]]) -> Mapping[str, int]:
    said: Counter[str] = Counter()
    for pod, url in urls:
        usage = httpx.get(url, trust_env=False).raise_for_status().json()
        said[pod.agent.name] += usage["totalTokens"]
    return said


def shown_until_equal(
    cluster: Cluster, wanted: Mapping[str, int], seconds: float
) -> Mapping[str, Shown]:
    """What kubectl shows of each agent, as soon as it is what is wanted, after ``seconds`` at
    latest: the operator reads every few seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        shown = _shown(cluster)
        equal = all(shown[name].tokens == tokens for name, tokens in wanted.items())
        if equal or time.monotonic() > deadline:
            return shown
        time.sleep(_POLL_SECONDS)


def report(comparisons: Sequence[Comparison]) -> str:
    """A line an agent."""
    columns: Sequence[tuple[str, Callable[[Comparison], int | None]]] = (
        ("PROVIDER BILLS", lambda c: c.billed),
        ("AGENT SAYS", lambda c: c.said),
        ("SIDECAR SAYS", lambda c: c.said_by_sidecar),
        ("KUBECTL", lambda c: c.shown.tokens),
        ("CONTROL PLANE", lambda c: c.stored),
    )
    lines = [f"{'AGENT':<12}" + "".join(f"{name:>16}" for name, _ in columns)]
    for comparison in comparisons:
        numbers = (number(comparison) for _, number in columns)
        cells = "".join(f"{'-' if n is None else n:>16}" for n in numbers)
        lines.append(f"{comparison.agent.name:<12}{cells}  {_verdict(comparison)}")
    return "\n".join(lines)


def _verdict(comparison: Comparison) -> str:
    if not comparison.holds:
        shown = comparison.shown
        return f"NOT EQUAL (Ready is {shown.ready}, {shown.reason})"
    return "equal" if comparison.agent.readable else "cannot be read, and kubectl says so"


def _shown(cluster: Cluster) -> Mapping[str, Shown]:
    text = cluster.kubectl("get", "agentobservations", "-n", NAMESPACE, "-o", "json")
    statuses: dict[str, Any] = {
        item["metadata"]["name"]: item.get("status", {}) for item in json.loads(text)["items"]
    }
    shown = {}
    for agent in AGENTS:
        status = statuses.get(agent.name, {})
        conditions = {c["type"]: c for c in status.get("conditions", ())}
        ready = conditions.get("Ready", {})
        shown[agent.name] = Shown(
            status.get("usage", {}).get("totalTokens"),
            ready.get("status", "missing"),
            ready.get("reason", "no reason"),
        )
    return shown
