"""Which pods an AgentObservation speaks of: the workload that it names, resolved once and kept.

The order is fixed: ``podSelector``; else ``agentRef.kind`` and name; else pods labelled
``agentspec.io/agent=<name>``; else the first of Deployment, StatefulSet, DaemonSet, Pod, Service of
that name. What was found is kept in the status until the spec changes, so that a scale to zero does
not make the object jump to another workload that happens to bear the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agentspec_usage.controller.pods import PodView
from agentspec_usage.controller.selector import Selector
from agentspec_usage.errors import UsageError
from agentspec_usage.wire.observation import AgentRefKind, ObservationSpec

__all__ = [
    "AGENT_LABEL",
    "PodIndex",
    "Resolution",
    "Unresolved",
    "WorkloadReader",
    "resolution_from_status",
    "resolution_to_status",
    "resolve",
]

AGENT_LABEL = "agentspec.io/agent"

_MAX_SELECTOR = 1024

_SEARCHED = (
    AgentRefKind.DEPLOYMENT,
    AgentRefKind.STATEFUL_SET,
    AgentRefKind.DAEMON_SET,
    AgentRefKind.POD,
    AgentRefKind.SERVICE,
)


class WorkloadReader(Protocol):
    """Reads one workload, fresh; None when it does not exist."""

    async def get_workload(
        self, kind: str, namespace: str, name: str
    ) -> Mapping[str, Any] | None: ...


class PodIndex(Protocol):
    """The pods of the watched namespaces, as last seen."""

    def select(self, namespace: str, selector: Selector) -> Sequence[PodView]: ...


@dataclass(frozen=True, slots=True)
class Resolution:
    """The pods of ``selector``; of kind Pod: the one pod named ``name``, and no selector."""

    kind: str
    name: str
    selector: Selector | None


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Nothing to read pods from: ``message`` says what was looked for, or why what was found is
    refused.
    """

    message: str
    reason: Literal["NoUsageSource", "InvalidSpec"] = "NoUsageSource"


async def resolve(
    spec: ObservationSpec, namespace: str, *, pods: PodIndex, workloads: WorkloadReader
) -> Resolution | Unresolved:
    """Find the workload of ``spec``. Raises ClusterError when the API server cannot be asked."""
    name = spec.agent_ref.name
    if spec.pod_selector is not None:
        expressions = [
            {"key": r.key, "operator": r.operator, "values": list(r.values)}
            for r in spec.pod_selector.match_expressions
        ]
        try:
            selector = Selector.from_spec(
                {"matchLabels": spec.pod_selector.match_labels, "matchExpressions": expressions}
            )
        except UsageError as error:
            return Unresolved(f"podSelector cannot be read: {error}", "InvalidSpec")
        return Resolution("PodSelector", "", selector)
    if spec.agent_ref.kind is not None:
        found = await _of_kind(spec.agent_ref.kind, namespace, name, workloads)
        return found or Unresolved(f"There is no {spec.agent_ref.kind} of the name in agentRef.")
    # A label value has 63 characters at most; a longer name is no label.
    labelled = Selector.of({AGENT_LABEL: name}) if len(name) <= 63 else None
    if labelled is not None and pods.select(namespace, labelled):
        return Resolution("Label", AGENT_LABEL, labelled)
    for kind in _SEARCHED:
        found = await _of_kind(kind, namespace, name, workloads)
        if isinstance(found, Resolution):
            return found
    return Unresolved(
        f"No pod is labelled {AGENT_LABEL}=<agentRef.name>, and there is no Deployment, "
        "StatefulSet, DaemonSet, Pod or Service of that name."
    )


async def _of_kind(
    kind: AgentRefKind, namespace: str, name: str, workloads: WorkloadReader
) -> Resolution | Unresolved | None:
    workload = await workloads.get_workload(kind.value, namespace, name)
    if workload is None:
        return None
    if kind is AgentRefKind.POD:
        return Resolution("Pod", name, None)
    spec = workload.get("spec") or {}
    selector = spec.get("selector")
    if kind is AgentRefKind.SERVICE:
        if not selector or spec.get("type") == "ExternalName":
            return Unresolved("The Service in agentRef has no selector, so its pods are not known.")
        selector = {"matchLabels": selector}
    if not selector:
        return Unresolved(f"The {kind} in agentRef has no selector.")
    try:
        return Resolution(kind.value, name, Selector.from_spec(selector))
    except UsageError:
        return Unresolved(f"The selector of the {kind} in agentRef cannot be read.")


def resolution_to_status(resolution: Resolution) -> dict[str, str]:
    """``status.target``. A selector that a status has no room for is left out, and found anew."""
    target = {"kind": resolution.kind, "name": resolution.name}
    if resolution.selector is not None and len(text := str(resolution.selector)) <= _MAX_SELECTOR:
        target["selector"] = text
    return target


def resolution_from_status(target: Mapping[str, Any] | None) -> Resolution | None:
    """What ``resolution_to_status`` wrote; None for nothing or for what cannot be read, then it is
    redone.
    """
    if not target or not target.get("kind"):
        return None
    kind, name = str(target["kind"]), str(target.get("name", ""))
    text = target.get("selector")
    if kind == "Pod":
        return Resolution(kind, name, None) if name else None
    if not text:
        return None
    try:
        return Resolution(kind, name, Selector.parse(str(text)))
    except UsageError:
        return None
