"""Who takes part: sample agents that differ in what a reader of usage has to cope with."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AGENTS", "NAMESPACE", "Program", "SampleAgent"]

NAMESPACE = "demo"


@dataclass(frozen=True, slots=True)
class Program:
    """A module of ``examples.agents``; ``workers`` is how many of its processes say what they
    used."""

    module: str
    workers: int = 1


@dataclass(frozen=True, slots=True)
class SampleAgent:
    """An agent with its AgentObservation.

    ``programs`` run in each of its pods, ``port_name`` and ``port`` are the container port that
    says where its usage is: named agentspec-usage, or sidecar-usage for a sidecar. Its pods
    are found through a Deployment of its name, or by label. ``readable`` is False for the one
    whose usage nobody can know.
    """

    name: str
    shows: str
    programs: tuple[Program, ...]
    replicas: int = 1
    port_name: str = "agentspec-usage"
    port: int = 8080
    deployment: bool = False
    readable: bool = True


AGENTS = (
    SampleAgent(
        "support-bot",
        "a Deployment with two replicas: the sum of both",
        (Program("agent"),),
        replicas=2,
        deployment=True,
    ),
    SampleAgent(
        "research",
        "two worker processes behind one port: each answers for itself alone",
        (Program("workers", workers=2),),
    ),
    SampleAgent(
        "checkout",
        "serves nothing itself, its sidecar hears of its calls by events",
        (Program("ring"), Program("pushing")),
        port_name="sidecar-usage",
        port=4001,
    ),
    SampleAgent("gymcoach", "AgentSpec's own dialect: an estimate", (Program("legacy"),)),
    SampleAgent(
        "flaky", "answers errors and garbage: READY is False", (Program("broken"),), readable=False
    ),
)
