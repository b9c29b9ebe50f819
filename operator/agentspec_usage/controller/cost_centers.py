"""Who pays for an agent: the nearest word counts.

    label of its pods  >  spec.costCenter  >  label of its namespace  >  the operator's default

The label is ``agentspec.io/cost-center`` in both places. Where the pods disagree, as during a
rollout, the newest that bears one decides; where there are no pods, nobody pays anew and what was
known stays. A name is a note for finance: it is shown, and handed in with what the agent used.

A namespace is read when nothing nearer says it, and again every few minutes. One that cannot be
read changes nothing, and is not asked for at every tick.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agentspec_usage.controller.pods import PodView
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.errors import ClusterError
from agentspec_usage.metering.names import showable_name
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.wire.observation import ObservationSpec

__all__ = ["COST_CENTER_LABEL", "CostCenters", "NamespaceReader"]

logger = logging.getLogger(__name__)

COST_CENTER_LABEL = "agentspec.io/cost-center"

_FRESH = 300.0
"""Seconds that a namespace's label is believed."""

_MANY = 4096
"""Namespaces from which on those that nobody asks for any more are dropped."""


class NamespaceReader(Protocol):
    """Reads a Namespace; None for one that does not exist."""

    async def get_namespace(self, name: str) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class _Namespace:
    """``label`` is None where it could not be read."""

    label: str | None
    read_at: float


class CostCenters:
    """Finds cost centres. ``default`` is for agents of which nobody says one; empty for none."""

    def __init__(self, namespaces: NamespaceReader, clock: Clock, default: str) -> None:
        self._namespaces = namespaces
        self._clock = clock
        self._default = default
        self._known: dict[str, _Namespace] = {}

    async def of(
        self, record: ObservationRecord, spec: ObservationSpec, pods: Iterable[PodView]
    ) -> str:
        """Who pays for ``record``, whose pods these are."""
        living = [pod for pod in pods if not pod.ended]
        if not living and record.cost_center:
            return record.cost_center
        labelled = [pod for pod in living if pod.labels.get(COST_CENTER_LABEL)]
        if labelled:
            newest = max(labelled, key=lambda pod: (pod.created_at, pod.uid))
            return newest.labels[COST_CENTER_LABEL]
        if spec.cost_center:
            return showable_name(spec.cost_center)
        label = await self._label_of(record.namespace)
        if label is None:
            return record.cost_center or self._default
        return label or self._default

    async def _label_of(self, name: str) -> str | None:
        now = self._clock.monotonic()
        known = self._known.get(name)
        if known is not None and now - known.read_at < _FRESH:
            return known.label
        label = known.label if known is not None else None
        try:
            label = _label(await self._namespaces.get_namespace(name))
        except ClusterError as error:
            logger.warning(
                "a namespace could not be read",
                extra={"namespace": name, "reason": str(error)},
            )
        if len(self._known) >= _MANY:
            self._known = {
                each: found
                for each, found in self._known.items()
                if now - found.read_at < 2 * _FRESH
            }
        self._known[name] = _Namespace(label, now)
        return label


def _label(namespace: Mapping[str, Any] | None) -> str:
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    return str(labels.get(COST_CENTER_LABEL) or "")
