"""When a status is written, and what becomes of the record when the API server has answered.

A status write is the scarce resource: one costs the API server about 5 ms of CPU. So nothing is
written when nothing changed, tokens alone wait for their interval, and what is due is computed at
the moment of sending, so that one write carries everything that happened until then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from agentspec_usage.controller.charging import Charging
from agentspec_usage.controller.notes import Notes
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.controller.register import Register
from agentspec_usage.controller.resolution import resolution_to_status
from agentspec_usage.controller.status import Facts, build_status
from agentspec_usage.controller.writer import PreparedWrite, Priority, StatusWriter, WriteResult
from agentspec_usage.metering.checkpoint import same_numbers
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.status.usage import meaning

__all__ = ["Publisher"]

logger = logging.getLogger(__name__)


class Publisher:
    """Between records and the status writer. ``on_conflict`` and ``on_gone`` take the uid."""

    def __init__(
        self,
        *,
        register: Register,
        writer: StatusWriter,
        clock: Clock,
        notes: Notes,
        on_conflict: Callable[[str], None],
        on_gone: Callable[[str], None],
        charging: Charging | None = None,
    ) -> None:
        self._register = register
        self._writer = writer
        self._clock = clock
        self._notes = notes
        self._on_conflict = on_conflict
        self._on_gone = on_gone
        self._charging = charging

    def publish(self, record: ObservationRecord, *, folded: bool = False) -> None:
        """Submit a write if the status would say something else than what stands there."""
        shown = (record.health, record.problem, record.generation)
        if folded or record.unsettled is Priority.FOLD:
            self._submit(record, Priority.FOLD)
        elif record.stale_status or shown != record.shown:
            priority = self._urgency(record)
            if priority is not None:
                self._submit(record, priority)
            else:
                record.stale_status = False
                record.shown = shown
        elif not self._notes_stand(record):
            self._submit(record, Priority.TOKENS)

    def charged(self, record: ObservationRecord, *, first: bool) -> None:
        """The control plane says something else of ``record`` than before, or its first word.

        Of what was not looked at yet nothing is written, and what met a conflict is written when it
        was read again: either write brings the money.
        """
        looked_at = record.health is not None or record.problem is not None
        if looked_at and record.unsettled is None:
            self._submit(record, Priority.TOKENS if first else Priority.MONEY)

    def _urgency(self, record: ObservationRecord) -> Priority | None:
        """How soon the status must say what is known now; None when it says it already."""
        previous = record.previous
        there = meaning(previous)
        wanted = meaning(build_status(self._facts(record, previous, "")))
        if wanted == there:
            return None if self._notes_stand(record) else Priority.TOKENS
        wanted.pop("usage", None)
        there.pop("usage", None)
        return Priority.CONDITION if wanted != there else Priority.TOKENS

    def _submit(self, record: ObservationRecord, priority: Priority) -> None:
        uid = record.uid
        record.unsettled = None
        self._writer.submit(
            uid,
            priority,
            lambda: self._render(uid),
            lambda result: self._done(uid, result, priority),
        )

    def _render(self, uid: str) -> PreparedWrite | None:
        record = self._register.get(uid)
        if record is None:
            return None
        record.checkpoint, text = self._notes.write(record.checkpoint, uid)
        previous = record.previous
        status = build_status(self._facts(record, previous, text))
        if self._notes_stand(record) and meaning(status) == meaning(previous):
            record.stale_status = False
            return None
        record.sent, record.sent_state = record.checkpoint, text
        record.shown = (record.health, record.problem, record.generation)
        return PreparedWrite(
            namespace=record.namespace,
            name=record.name,
            uid=uid,
            resource_version=record.resource_version,
            status=status,
        )

    def _notes_stand(self, record: ObservationRecord) -> bool:
        """Whether the notes on the API server say what is known now, under the right seal."""
        written = record.written
        return (
            written is not None
            and same_numbers(record.checkpoint, written)
            and not self._notes.outdated(record.writer_state)
        )

    def _facts(self, record: ObservationRecord, previous: Mapping[str, Any], text: str) -> Facts:
        target, charging = record.resolution, self._charging
        now = self._clock.now()
        return Facts(
            generation=record.generation,
            checkpoint=record.checkpoint,
            writer_state=text,
            health=record.health,
            problem=record.problem,
            target=resolution_to_status(target) if target is not None else None,
            previous=previous,
            last_update=record.last_update,
            last_read=record.last_read,
            tampered_epoch=record.tampered_epoch,
            now=now,
            charges=charging.charges(record, previous, now) if charging is not None else None,
            cost_center=record.cost_center,
            ledger=charging.ledger if charging is not None else None,
        )

    def _done(self, uid: str, result: WriteResult, priority: Priority) -> None:
        record = self._register.get(uid)
        if record is None:
            return
        if result.kind == "written" and result.object is not None:
            self._accept(record, result.object)
        elif result.kind == "conflict":
            record.stale_status = True
            record.unsettled = priority
            self._on_conflict(uid)
        elif result.kind == "gone":
            self._on_gone(uid)
        else:
            record.stale_status = True

    def _accept(self, record: ObservationRecord, written: Mapping[str, Any]) -> None:
        metadata = written.get("metadata") or {}
        version = str(metadata.get("resourceVersion", ""))
        if not version or int(version) < int(record.resource_version):
            return  # the watch was faster and has shown something newer already
        record.resource_version = version
        record.remember(written.get("status") or {})
        record.written = record.sent
        record.tampered_epoch = None
        record.stale_status = False
