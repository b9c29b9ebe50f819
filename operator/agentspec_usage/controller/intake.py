"""Objects come in: from the watch, a sweep, a fresh read after a conflict. One way for all.

``take`` is synchronous and idempotent. An object that is older than what is held (by
resourceVersion, whose order the API server guarantees) is ignored, whoever brings it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from agentspec_usage.controller.adoption import Adopted, Known, adopt
from agentspec_usage.controller.costs import Costs
from agentspec_usage.controller.notes import Notes
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.controller.register import Register
from agentspec_usage.controller.resolution import resolution_from_status
from agentspec_usage.errors import WireError
from agentspec_usage.metering.checkpoint import PodIdentity
from agentspec_usage.metering.names import showable_name
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.wire.observation import ObservationSpec, parse_spec

__all__ = ["Intake", "Schedule"]

logger = logging.getLogger(__name__)

_DEFAULT_INTERVAL = 30.0


class Schedule(Protocol):
    """The part of the scheduler that the intake moves."""

    def add(self, uid: str, namespace: str, interval: float) -> None: ...

    def update(self, uid: str, interval: float) -> None: ...

    def remove(self, uid: str) -> None: ...

    def trigger(self, uid: str) -> None: ...


class Intake:
    """Turns objects as read into records."""

    def __init__(
        self,
        *,
        register: Register,
        schedule: Schedule,
        clock: Clock,
        costs: Costs,
        notes: Notes,
        new_epoch: Callable[[], str],
        pods_of: Callable[[str], Iterable[PodIdentity]],
        on_dropped: Callable[[str], None],
    ) -> None:
        self._register = register
        self._pods_of = pods_of
        self._on_dropped = on_dropped
        self._schedule = schedule
        self._clock = clock
        self._costs = costs
        self._notes = notes
        self._new_epoch = new_epoch

    def is_echo(self, uid: str, resource_version: str) -> bool:
        """Whether an event only repeats what is held: our own write, and no other."""
        record = self._register.get(uid)
        return record is not None and record.resource_version == resource_version

    def take(self, body: Mapping[str, Any]) -> ObservationRecord | None:
        """Take an object as read from the API server; None when it brings nothing new."""
        metadata = body["metadata"]
        uid = str(metadata["uid"])
        record = self._register.get(uid)
        if record is None:
            return self._enter(uid, metadata, body)
        version = str(metadata["resourceVersion"])
        if int(version) <= int(record.resource_version):
            return None
        self._renew(record, version, body)
        return record

    def drop(self, uid: str) -> None:
        """The object is gone."""
        record = self._register.remove(uid)
        if record is not None:
            self._schedule.remove(uid)
            self._on_dropped(uid)
            logger.info("object gone", extra={"namespace": record.namespace, "agent": record.name})

    def _enter(
        self, uid: str, metadata: Mapping[str, Any], body: Mapping[str, Any]
    ) -> ObservationRecord | None:
        namespace, name = str(metadata["namespace"]), str(metadata["name"])
        predecessor = self._register.named(namespace, name)
        if predecessor is not None:
            if int(metadata["resourceVersion"]) < int(predecessor.resource_version):
                return None  # a late word of an object whose name has a new bearer
            self.drop(predecessor.uid)
        status = body.get("status") or {}
        adopted = self._adopt(metadata, status, None)
        record = ObservationRecord(
            uid=uid,
            namespace=namespace,
            name=name,
            created_at=str(metadata.get("creationTimestamp", "")),
            resource_version=str(metadata["resourceVersion"]),
            generation=int(metadata.get("generation", 0)),
            checkpoint=adopted.checkpoint,
        )
        record.spec, record.spec_error = _parsed(body.get("spec"))
        record.cost_center = showable_name(str((status.get("usage") or {}).get("costCenter") or ""))
        self._settle(record, status, adopted)
        if status.get("observedGeneration") == record.generation:
            record.resolution = resolution_from_status(status.get("target"))
        self._register.put(record)
        self._schedule.add(uid, namespace, _interval(record.spec))
        if record.written is None or record.resolution is None:
            # Also what is not resolved: younger objects of the namespace wait for it.
            self._schedule.trigger(uid)
        logger.info("object found", extra={"namespace": namespace, "agent": name})
        return record

    def _renew(self, record: ObservationRecord, version: str, body: Mapping[str, Any]) -> None:
        status = body.get("status") or {}
        text = str(status.get("writerState") or "")
        usage: Mapping[str, Any] | None = record.previous.get("usage") or {}
        ours = record.sent is not None and text == record.sent_state != record.writer_state
        if ours:
            # Our own write, whose answer the watch has overtaken or the network has lost.
            record.written, record.writer_state, usage = record.sent, text, None
        known = Known(record.checkpoint, record.writer_state, usage, record.written)
        adopted = self._adopt(body["metadata"], status, known)
        record.resource_version = version
        record.checkpoint = adopted.checkpoint
        self._settle(record, status, adopted)
        generation = int((body.get("metadata") or {}).get("generation", 0))
        if generation != record.generation:
            self._respecify(record, generation, body.get("spec"))
        if not ours:
            self._schedule.trigger(record.uid)

    def _adopt(
        self, metadata: Mapping[str, Any], status: Mapping[str, Any], known: Known | None
    ) -> Adopted:
        now = self._clock.now()
        uid, version = str(metadata["uid"]), int(metadata["resourceVersion"])
        adopted = adopt(
            status,
            known,
            read=lambda text: self._notes.read(text, uid, version),
            pods=self._pods_of(str(metadata["namespace"])),
            now=now,
            new_epoch=self._new_epoch,
        )
        if not adopted.foreign or adopted.written is None:
            return adopted
        # What we saw beyond their numbers has no price in their cost.
        priced = self._costs.added(adopted.written, adopted.checkpoint, now)
        return replace(adopted, checkpoint=priced)

    def _settle(
        self, record: ObservationRecord, status: Mapping[str, Any], adopted: Adopted
    ) -> None:
        record.remember(status)
        record.written = adopted.written
        record.stale_status = True
        # What the control plane keeps has no notes of ours: nothing there was changed by somebody.
        if adopted.tampered_epoch is not None and not record.kept_by_control_plane:
            record.tampered_epoch = adopted.tampered_epoch
            logger.warning(
                "a status was changed by somebody else; a new accounting epoch is opened",
                extra={
                    "namespace": record.namespace,
                    "agent": record.name,
                    "notes": self._notes.doubt(
                        record.writer_state, record.uid, int(record.resource_version)
                    ),
                },
            )
        if adopted.foreign:
            logger.info(
                "another operator wrote; its numbers are taken",
                extra={"namespace": record.namespace, "agent": record.name},
            )

    def _respecify(self, record: ObservationRecord, generation: int, spec: Any) -> None:
        before = record.spec
        record.generation = generation
        record.spec, record.spec_error = _parsed(spec)
        after = record.spec
        if before is None or after is None or _pods_differ(before, after):
            record.resolution = None
            record.attempted = False
            record.searches = 0
            record.search_at = float("-inf")
        record.service_at = -1e9
        for health in record.pods.values():
            health.ask_again()
        self._register.put(record)
        self._schedule.update(record.uid, _interval(after))
        self._schedule.trigger(record.uid)


def _parsed(spec: Any) -> tuple[ObservationSpec | None, str]:
    try:
        return parse_spec(spec), ""
    except WireError as error:
        return None, str(error)


def _interval(spec: ObservationSpec | None) -> float:
    return float(spec.check_interval) if spec is not None else _DEFAULT_INTERVAL


def _pods_differ(before: ObservationSpec, after: ObservationSpec) -> bool:
    return before.agent_ref != after.agent_ref or before.pod_selector != after.pod_selector
