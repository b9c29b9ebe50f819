"""What was read of the agents' pods and waits to be handed in to the control plane.

Readings are cumulative, so of each instance only the newest one waits, and what was not handed in
yet is in the next one: a control plane that is away costs nothing but memory, and that is bounded.
An instance (or a window of AgentSpec's own dialect) that ends meanwhile keeps its last reading,
because nobody else will bring it.

A pod's reading is handed in when it grew, and again when the last one that was taken is older than
``refresh``: that mends whatever the control plane lost, such as what came after the backup that it
was restored from. Every object is asked for as often, with or without a reading, since a day and a
month begin for idle agents too.

Snapshots that say ``via`` are not handed in: their records travel through the pod's sidecar.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from agentspec_usage.controller.charged import Standing, standing_of
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.metering.snapshot import UsageReading, UsageSnapshot
from agentspec_usage.wire.observed_encoding import (
    MAX_OBSERVED_BODY,
    Observation,
    encode_observation,
    encode_observed,
)
from agentspec_usage.wire.usage import MAX_INSTANCES

__all__ = ["Batch", "ObservationOutbox", "Question"]

_ROOM = 65_536
"""Rows that may wait in all, about 30 MB: two snapshots of two models each for 10,000 agents."""

_SHARE = 16
"""What part of the room one object may take, so that one agent's names starve no other."""

_PATIENCE = 1.2
"""After how many ``refresh`` an object is asked for without a reading: its pods' are due by then.
"""

_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Question:
    """An object that is asked for, by this name of its agent, in this moment of its counting.

    ``asked_before`` is when it was asked for the time before, if this time there is no answer.
    """

    agent: str
    standing: Standing
    asked_before: float


class _Key(NamedTuple):
    """Whose counts: an instance's, or a window's of a container."""

    pod_uid: str
    instance_id: str | None
    container: str
    window: int | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A snapshot that waits; ``at`` is when it was read (ms)."""

    container: str
    at: int
    snapshot: UsageSnapshot

    @property
    def rows(self) -> int:
        return 1 + len(self.snapshot.rows)


@dataclass(slots=True)
class _Line:
    """One object. Times but ``_Seen.at`` are monotonic seconds.

    ``taken``: when the last reading of a pod was taken, by the pod's uid. ``rows`` are those of
    ``waiting``.
    """

    record: ObservationRecord
    agent: str
    asked_at: float = _NEVER
    not_before: float = _NEVER
    rows: int = 0
    gone: bool = False
    taken: dict[str, float] = field(default_factory=dict)
    waiting: dict[_Key, _Seen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """One body. ``asked`` are the objects that it asks for, by uid; ``readings`` what it brings."""

    body: bytes
    entries: int
    asked: Mapping[str, Question]
    readings: tuple[tuple[_Line, _Key, _Seen], ...]


class ObservationOutbox:
    """Holds readings until the control plane has them. For one event loop.

    ``refresh`` in seconds; ``room`` in rows. ``refused`` counts the snapshots for which there was
    no room: their pods are handed in again when there is.
    """

    def __init__(self, *, refresh: float = 300.0, room: int = _ROOM) -> None:
        self.refused = 0
        self._refresh = refresh
        self._room = room
        self._rows = 0
        self._lines: dict[str, _Line] = {}
        # Uids in the order of their turns: who has something, and who was asked for longest ago.
        self._ready: dict[str, None] = {}
        self._to_ask: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """The objects that are known."""
        return len(self._lines)

    @property
    def ready(self) -> int:
        """The objects of which something waits."""
        return len(self._ready)

    @property
    def rows(self) -> int:
        """What waits, in rows."""
        return self._rows

    @property
    def refresh(self) -> float:
        return self._refresh

    def keep(self, record: ObservationRecord) -> None:
        """Ask for this object from now on. Repeating it is cheap."""
        self._line_of(record)

    def saw(
        self,
        record: ObservationRecord,
        pod_uid: str,
        container: str,
        reading: UsageReading,
        *,
        grew: bool,
        now: float,
        at: int,
    ) -> None:
        """A pod was read at ``now`` (monotonic) and ``at`` (ms); ``grew`` says that it counts more
        than before.
        """
        line = self._line_of(record)
        if line is None:
            return
        if not grew and now - line.taken.get(pod_uid, _NEVER) < self._refresh:
            return
        for snapshot in reading.snapshots:
            if snapshot.via is not None:
                continue
            if snapshot.instance_id is not None:
                key = _Key(pod_uid, snapshot.instance_id, "", None)
            else:
                key = _Key(pod_uid, None, container, snapshot.window_started_at)
            self._hold(line, key, _Seen(container, at, snapshot))

    def forget(self, uid: str) -> None:
        """The object is gone; what was read for it is still handed in."""
        line = self._lines.get(uid)
        if line is not None:
            line.gone = True
            self._to_ask.pop(uid, None)
            self._let_go(line)

    def take(self, limit: int, asks: int, now: float) -> Batch | None:
        """The next body: at most ``limit`` entries, of them at most ``asks`` questions alone."""
        entries: list[bytes] = []
        readings: list[tuple[_Line, _Key, _Seen]] = []
        asked: dict[str, Question] = {}
        room = MAX_OBSERVED_BODY - len(encode_observed(()))
        for uid in tuple(islice(self._ready, limit)):
            line = self._lines[uid]
            if line.not_before > now:
                self._ready[uid] = self._ready.pop(uid)  # to the end
                continue
            full = False
            for keys, observation in _observations(line):
                entry = encode_observation(observation)
                full = len(entries) == limit or len(entry) + 1 > room
                if full:
                    break
                entries.append(entry)
                room -= len(entry) + 1
                readings += [(line, key, self._release(line, key)) for key in keys]
                if uid not in asked:
                    asked[uid] = self._ask(line, now)
            if full:
                break
        for uid in tuple(islice(self._to_ask, asks)):
            line = self._lines[uid]
            if line.record.kept_by_control_plane:
                self.forget(uid)
                continue
            if now - line.asked_at < _PATIENCE * self._refresh or len(entries) == limit:
                break
            entry = encode_observation(_question(line))
            if len(entry) + 1 > room:
                break
            entries.append(entry)
            room -= len(entry) + 1
            asked[uid] = self._ask(line, now)
        if not entries:
            return None
        return Batch(encode_observed(entries), len(entries), asked, tuple(readings))

    def acknowledged(self, batch: Batch, now: float) -> None:
        """The control plane has it."""
        for line, key, _ in batch.readings:
            line.taken[key.pod_uid] = now
        for line in {id(line): line for line, _, _ in batch.readings}.values():
            # A pod that lives is taken once in ``refresh``, so the others are gone.
            aged = [uid for uid, at in line.taken.items() if now - at > 2 * self._refresh]
            for pod_uid in aged:
                del line.taken[pod_uid]
            self._let_go(line)

    def put_back(self, batch: Batch) -> None:
        """Nobody has it: it waits again, where nothing newer does."""
        for taken_from, key, seen in batch.readings:
            # An object that was forgotten meanwhile may be known again, by another line.
            line = self._lines.setdefault(taken_from.record.uid, taken_from)
            if key not in line.waiting:
                self._hold(line, key, seen)
            self._let_go(line)
        for uid, question in reversed(tuple(batch.asked.items())):
            if uid in self._to_ask:
                self._lines[uid].asked_at = question.asked_before
                self._to_ask.move_to_end(uid, last=False)

    def set_aside(self, batch: Batch, now: float) -> None:
        """The control plane will never take it: leave its objects alone for a while."""
        for line, key, _ in batch.readings:
            line.taken[key.pod_uid] = now
            line.not_before = now + self._refresh
            self._let_go(line)

    def _line_of(self, record: ObservationRecord) -> _Line | None:
        spec = record.spec
        if spec is None:
            return None
        line = self._lines.get(record.uid)
        if line is None:
            line = self._lines[record.uid] = _Line(record, spec.agent_ref.name)
        if record.uid not in self._to_ask:
            line.gone = False
            self._to_ask[record.uid] = None
            self._to_ask.move_to_end(record.uid, last=False)
        line.agent = spec.agent_ref.name
        return line

    def _hold(self, line: _Line, key: _Key, seen: _Seen) -> None:
        held = line.waiting.get(key)
        more = seen.rows - (held.rows if held is not None else 0)
        if self._rows + more > self._room or line.rows + more > self._room // _SHARE:
            # The next reading says it again, as long as the pod lives.
            line.taken.pop(key.pod_uid, None)
            self.refused += 1
            return
        line.waiting[key] = seen
        line.rows += more
        self._rows += more
        self._ready.setdefault(line.record.uid)

    def _release(self, line: _Line, key: _Key) -> _Seen:
        seen = line.waiting.pop(key)
        line.rows -= seen.rows
        self._rows -= seen.rows
        if not line.waiting:
            del self._ready[line.record.uid]
        return seen

    def _ask(self, line: _Line, now: float) -> Question:
        before, line.asked_at = line.asked_at, now
        if line.record.uid in self._to_ask:
            self._to_ask.move_to_end(line.record.uid)
        return Question(line.agent, standing_of(line.record.checkpoint), before)

    def _let_go(self, line: _Line) -> None:
        uid = line.record.uid
        if line.gone and not line.waiting and self._lines.get(uid) is line:
            del self._lines[uid]


def _observations(line: _Line) -> Iterator[tuple[list[_Key], Observation]]:
    """What waits, as entries of a body: one a pod, and one for each window without an instance."""
    pods: dict[tuple[str, str], list[_Key]] = {}
    for key, seen in tuple(line.waiting.items()):
        if key.instance_id is None:
            yield [key], _observation(line, [key])
        else:
            pods.setdefault((key.pod_uid, seen.container), []).append(key)
    for keys in pods.values():
        for start in range(0, len(keys), MAX_INSTANCES):
            some = keys[start : start + MAX_INSTANCES]
            yield some, _observation(line, some)


def _observation(line: _Line, keys: list[_Key]) -> Observation:
    seen = [line.waiting[key] for key in keys]
    return Observation(
        line.record.namespace,
        line.agent,
        keys[0].pod_uid,
        seen[0].container,
        max(one.at for one in seen),
        UsageReading(tuple(one.snapshot for one in seen)),
        line.record.cost_center,
    )


def _question(line: _Line) -> Observation:
    record = line.record
    return Observation(record.namespace, line.agent, cost_center=record.cost_center)
