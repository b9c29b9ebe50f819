"""Who takes part: sample agents that differ in what a reader of usage has to cope with."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AGENTS", "COST_CENTER", "NAMESPACE", "SampleAgent"]

NAMESPACE = "demo"

COST_CENTER = "platform"
"""Who pays for agents that do not say it: a label of their namespace."""


@dataclass(frozen=True, slots=True)
class SampleAgent:
    """An agent with its AgentObservation.

    ``module`` of ``examples.agents`` is what runs in each of its pods, in so many worker processes.
    Its pods are found through a Deployment of its name, or by label.

    ``counts``: it says itself what it used. ``sidecar``: its pods have one, which is then what the
    operator reads. ``registered``: it has a key of the control plane, so that its usage, or its
    sidecar's, is pushed there. ``readable`` is False for the one whose usage nobody can know.

    ``pods_cost_center`` is a label of its pods, ``cost_center`` said by its AgentObservation: who
    pays for it, if not who pays for the namespace.
    """

    name: str
    module: str
    shows: str
    replicas: int = 1
    workers: int = 1
    deployment: bool = False
    counts: bool = True
    sidecar: bool = False
    registered: bool = False
    readable: bool = True
    pods_cost_center: str = ""
    cost_center: str = ""


AGENTS = (
    SampleAgent(
        "support-bot",
        "support_bot",
        "OpenAI's client, streamed; a Deployment with two replicas: the sum of both",
        replicas=2,
        deployment=True,
        registered=True,
        pods_cost_center="sales",
    ),
    SampleAgent(
        "research",
        "research",
        "a LangGraph graph with a tool, metered at its node",
        registered=True,
        cost_center="r-and-d",
    ),
    SampleAgent(
        "triage",
        "triage",
        "two worker processes behind one port: any of them answers for both",
        workers=2,
        registered=True,
    ),
    SampleAgent(
        "writer",
        "writer",
        "Anthropic's client; the SDK and a sidecar see each call, which counts once",
        sidecar=True,
        registered=True,
    ),
    SampleAgent(
        "checkout",
        "checkout",
        "does not meter: its sidecar alone does",
        counts=False,
        sidecar=True,
        registered=True,
    ),
    SampleAgent(
        "gymcoach",
        "gymcoach",
        "AgentSpec's own dialect, pushes nothing: charged by what the operator reads",
    ),
    SampleAgent(
        "flaky",
        "flaky",
        "answers errors and garbage: READY is False",
        counts=False,
        readable=False,
    ),
)
