"""Six statements of one number: what the provider bills an agent, what the agent says it used and
what its sidecar does, what kubectl shows, what the control plane has stored call by call, and what
the month's statement charges for.

They are compared when nobody asks any more. The control plane's and the statement's are read last,
after the agents have ended, because what an agent pushes at its end belongs to them.
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
    "Totals",
    "report",
    "said_by_agents",
    "said_by_sidecars",
    "shown_until",
    "shown_until_equal",
]

_POLL_SECONDS = 0.5
_COLUMNS = (
    "PROVIDER BILLS",
    "AGENT SAYS",
    "SIDECAR SAYS",
    "KUBECTL",
    "CONTROL PLANE",
    "STATEMENT",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What kubectl shows of an agent. ``tokens`` is None while it shows no number, ``charged`` (the
    tokens of the month, as the control plane charges them) while that said nothing.
    """

    tokens: int | None = None
    ready: str = "missing"
    reason: str = "no reason"
    charged: int | None = None
    cost_center: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One agent, and who says of it how many tokens it used: None who says nothing."""

    agent: SampleAgent
    shown: Shown
    billed: int | None = None
    said: int | None = None
    said_by_sidecar: int | None = None
    stored: int | None = None
    stated: int | None = None

    @property
    def holds(self) -> bool:
        """Everybody who has to say a number says the same one; of the agent that cannot be read,
        that is said.
        """
        if not self.agent.readable:
            return self.shown.ready == "False"
        numbers = {self.billed, self.shown.tokens, self.stated}
        if self.agent.counts:
            numbers.add(self.said)
        if self.agent.sidecar:
            numbers.add(self.said_by_sidecar)
        if self.agent.registered:
            numbers.add(self.stored)
        return len(numbers) == 1 and bool(self.billed) and self.shown.ready == "True"


@dataclass(frozen=True, slots=True)
class Totals:
    """All agents together: the sums of what is billed and shown, and the statement's own total."""

    billed: int
    shown: int
    stated: int

    @classmethod
    def of(cls, comparisons: Sequence[Comparison], stated: int) -> Totals:
        return cls(
            sum(one.billed or 0 for one in comparisons),
            sum(one.shown.tokens or 0 for one in comparisons),
            stated,
        )

    @property
    def holds(self) -> bool:
        """One number, of which nothing is in a line of nobody."""
        return self.billed == self.shown == self.stated


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
    """What kubectl shows of each agent, as soon as it is what is wanted and charged, after
    ``seconds`` at latest: the operator reads every few seconds.
    """

    def equal(shown: Mapping[str, Shown]) -> bool:
        return all(
            shown[name].tokens == shown[name].charged == tokens for name, tokens in wanted.items()
        )

    return shown_until(cluster, equal, seconds)


def shown_until(
    cluster: Cluster, enough: Callable[[Mapping[str, Shown]], bool], seconds: float
) -> Mapping[str, Shown]:
    """What kubectl shows of each agent, as soon as it is enough, after ``seconds`` at latest."""
    deadline = time.monotonic() + seconds
    while not enough(shown := _shown(cluster)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return shown


def report(comparisons: Sequence[Comparison], totals: Totals) -> str:
    """A line an agent, and one for all."""
    lines = [f"{'AGENT':<12}" + "".join(f"{name:>16}" for name in _COLUMNS)]
    for one in comparisons:
        said = (one.said, one.said_by_sidecar)
        numbers = (one.billed, *said, one.shown.tokens, one.stored, one.stated)
        lines.append(_line(one.agent.name, numbers, _verdict(one)))
    numbers = (totals.billed, None, None, totals.shown, None, totals.stated)
    lines.append(_line("TOTAL", numbers, "equal" if totals.holds else "NOT EQUAL"))
    return "\n".join(lines)


def _line(name: str, numbers: Iterable[int | None], verdict: str) -> str:
    cells = "".join(f"{'-' if number is None else number:>16}" for number in numbers)
    return f"{name:<12}{cells}  {verdict}"


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
        usage = status.get("usage", {})
        conditions = {c["type"]: c for c in status.get("conditions", ())}
        ready = conditions.get("Ready", {})
        shown[agent.name] = Shown(
            usage.get("totalTokens"),
            ready.get("status", "missing"),
            ready.get("reason", "no reason"),
            usage.get("month", {}).get("tokens"),
            usage.get("costCenter", ""),
        )
    return shown
