"""Where frames become durable, as far as the simulation can tell.

``FrameStore`` is what a store must do to take part; ``MemoryStore`` does it with the shipped rule
and codec and a dictionary for a disk. What it holds is per instance, so that it can be compared
with the truth cell by cell. (``sqlite_store`` is the shipped store.)
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Protocol

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.frame import Aggregate, Frame, bucket_of
from agentspec_usage.metering.receiving import NOTHING, AlreadyHave, Apply, Intake, Watermark
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.wire.records import decode_records
from agentspec_usage.wire.records_answer import RecordsAnswer, encode_records_answer
from agentspec_usage.wire.records_encoding import frame_digest
from tests.simulation.laws import hold

__all__ = ["Crashed", "FrameStore", "MemoryStore", "Stored"]


class Crashed(Exception):
    """The store's process died; nobody was answered."""


@dataclass
class Stored:
    """What is durable of one instance."""

    mark: Watermark = NOTHING
    items: TokenCounts = ZERO
    missing: TokenCounts = ZERO
    cells: dict[SeriesKey, TokenCounts] = field(default_factory=dict)
    timely: dict[tuple[SeriesKey, int], TokenCounts] = field(default_factory=dict)
    """By 15-minute bucket, without what is flagged as coarse in time."""


class FrameStore(Protocol):
    """A store under test."""

    def receive(self, body: bytes, *, crash: str = "") -> bytes:
        """The answer to a body of frames. ``crash`` is "", "before" or "after" the commit."""
        ...

    def stored(self, instance_id: str) -> Stored: ...

    def back_up(self) -> None: ...

    def restore(self) -> None:
        """Go back to the last backup; to nothing when there is none."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


class MemoryStore:
    """The shipped rule over dictionaries."""

    def __init__(self) -> None:
        self._disk: dict[str, Stored] = {}
        self._backup: dict[str, Stored] = {}
        self.conflicts = 0

    def receive(self, body: bytes, *, crash: str = "") -> bytes:
        staged = copy.deepcopy(self._disk)
        intake = Intake(lambda instance_id: staged.get(instance_id, _EMPTY).mark)
        conflicts = 0
        for frame in decode_records(body):
            verdict = intake.offer(frame, frame_digest(frame))
            if isinstance(verdict, Apply):
                _apply(staged.setdefault(frame.instance_id, Stored()), frame, verdict)
            elif isinstance(verdict, AlreadyHave):
                conflicts += verdict.conflict

        def transaction() -> None:
            if crash == "before":
                raise Crashed
            self._disk = staged
            self.conflicts += conflicts

        answers = intake.commit(transaction)
        if crash == "after":
            raise Crashed
        return encode_records_answer(RecordsAnswer(answers.durable, answers.gaps))

    def stored(self, instance_id: str) -> Stored:
        return self._disk.get(instance_id, _EMPTY)

    def back_up(self) -> None:
        self._backup = copy.deepcopy(self._disk)

    def restore(self) -> None:
        self._disk = copy.deepcopy(self._backup)

    def close(self) -> None:
        """What memory held goes with it."""


_EMPTY = Stored()


def _apply(stored: Stored, frame: Frame, verdict: Apply) -> None:
    hold("I5", frame.lost or not verdict.missing, f"{verdict.missing} is missing before {frame}")
    stored.mark = verdict.next
    stored.missing += verdict.missing
    for item in frame.items:
        stored.items += item.counts
        stored.cells[item.key] = stored.cells.get(item.key, ZERO) + item.counts
        if isinstance(item, Aggregate) and item.coarse:
            continue
        bucket = item.bucket if isinstance(item, Aggregate) else bucket_of(item.at)
        cell = item.key, bucket
        stored.timely[cell] = stored.timely.get(cell, ZERO) + item.counts
