"""What the sidecar knows, as the fold of its ledger file's entries.

The same fold serves the running program and a restart: an entry is applied exactly as it will be
read back, so what was shown once is what a restart knows. Nothing here does I/O, reads a clock or
draws an id; all of it comes in entries.

Beside the pod's ledger this is what follows from its records: the series that are shown, and the
records' way out. The outbox of an instance that ended stays until its end is durable elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import assert_never

from agentspec_usage.extraction.seen import SeenResponses
from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.frame import EncodeFrame
from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.metering.outbox import Outbox, outbox_of_state
from agentspec_usage.metering.pod_calls import Now
from agentspec_usage.metering.pod_ledger import (
    CallDropped,
    CallEnded,
    CallOpened,
    InstanceBegan,
    InstanceEnded,
    PodEvent,
    PodLedger,
    TotalsSeen,
)
from agentspec_usage.metering.series import MAX_SERIES, OTHER, SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot
from agentspec_usage.sidecar.ledger.entries import (
    Acknowledged,
    Began,
    CallGivenUp,
    CallPending,
    EndedOnce,
    Entry,
    Happened,
    Opened,
    Sealed,
)
from agentspec_usage.sidecar.ledger.state import AccountState, Waiting

__all__ = ["MAX_OTHERS", "Account"]

MAX_OTHERS = 1024
"""Other sources whose totals are kept."""


class Account:
    """``encode`` is told of every frame that an outbox seals. Not thread-safe."""

    def __init__(self, encode: EncodeFrame, state: AccountState | None = None) -> None:
        state = state or AccountState()
        self._encode = encode
        self.instance_id = state.instance_id
        self.started_at = state.started_at
        self.forwarded = state.forwarded
        self.ended = state.ended
        self.pod = PodLedger(state.pod)
        self.opened: dict[str, SeriesKey] = dict(state.opened)
        self.pending = dict(state.pending)
        self.seen = SeenResponses()
        for name, at in state.seen:
            self.seen.note(name, at)
        self._others = {one.instance_id or "": one for one in state.others}
        self.outboxes = {one.instance_id: outbox_of_state(one, encode) for one in state.outboxes}
        self._series = self._new_series()
        for row in state.rows:
            self._series.record(row.key, row.counts)

    def apply(self, entry: Entry) -> None:
        """What ``entry`` tells happened."""
        match entry:
            case Happened(event, now):
                self._handle(event, now)
            case Opened(key, call_id, series, now):
                self.opened[key] = series
                self._handle(CallOpened(key, call_id), now)
            case EndedOnce(key, record, now):
                index = (record.key.provider, record.response_id)
                self.seen.first_usage(*index, now.wall)
                self.pending.pop(index, None)
                self._handle(CallEnded(key, record), now)
            case CallPending(key, index, now):
                self.pending[index] = Waiting(key, now.steady)
            case CallGivenUp(index, record, now):
                waiting = self.pending.pop(index, None)
                if waiting is not None:
                    self._handle(CallEnded(waiting.key, record), now)
            case Began(instance_id, now, forwarded):
                self._begin(instance_id, now, forwarded)
            case Sealed(sealed):
                outbox = self.outboxes.get(sealed.frame.instance_id)
                if outbox is not None:
                    outbox.was_sealed(sealed)
            case Acknowledged(instance_id, durable, final):
                outbox = self.outboxes.get(instance_id)
                if outbox is not None:
                    outbox.was_acknowledged(durable, final=final)
                self.forget_settled()
            case _:
                assert_never(entry)

    @property
    def outbox(self) -> Outbox | None:
        """The way out of this instance's records, if they go anywhere."""
        return self.outboxes.get(self.instance_id)

    def forget_settled(self) -> None:
        """Let go of ended instances of which everything is durable elsewhere."""
        for instance_id, outbox in list(self.outboxes.items()):
            if outbox.final_is_durable and outbox.settled:
                del self.outboxes[instance_id]

    @property
    def other_sides(self) -> tuple[str, ...]:
        """Who told of usage beside the proxy."""
        observers = {one.observer for one in self._others.values()}
        sides = (
            ("sdk", self.pod.has_senders),
            ("agent", bool(observers - {Observer.EVENTS})),
            ("events", Observer.EVENTS in observers),
        )
        return tuple(name for name, told in sides if told)

    def is_news(self, snapshot: UsageSnapshot) -> bool:
        """Whether another source's totals tell more than they did."""
        if snapshot.instance_id is None:
            return False
        known = self._others.get(snapshot.instance_id)
        if known is None:
            return bool(snapshot.totals) and len(self._others) < MAX_OTHERS
        return not known.totals.covers(snapshot.totals)

    def snapshot(self, now: int) -> UsageSnapshot:
        """The pod's usage in this instance."""
        series = self._series.snapshot(now)
        return replace(
            series,
            totals=self.pod.totals,
            rows=series.rows or self._rows_of_others(),
            seq=self.pod.seq,
            final=self.ended,
            upper_tokens=self.pod.upper_tokens,
        )

    def state(self) -> AccountState:
        """Everything, at this moment; the values in it never change."""
        return AccountState(
            self.instance_id,
            self.started_at,
            self.forwarded,
            self.ended,
            self.pod.state(),
            self._series.snapshot(0).rows,
            dict(self.opened),
            dict(self.pending),
            tuple(self.seen.entries()),
            tuple(self._others.values()),
            tuple(outbox.state() for outbox in self.outboxes.values()),
        )

    def _handle(self, event: PodEvent, now: Now) -> None:
        match event:
            case CallEnded(key, _) | CallDropped(key):
                self.opened.pop(key, None)
            case TotalsSeen(snapshot) if snapshot.instance_id is not None:
                self._others[snapshot.instance_id] = snapshot
        outbox = self.outbox
        for record in self.pod.handle(event, now):
            self._series.record(record.key, record.counts)
            if outbox is not None:
                outbox.append(record)
        if isinstance(event, InstanceEnded):
            self.ended = True
            if outbox is not None:
                outbox.finish()

    def _begin(self, instance_id: str, now: Now, forwarded: bool) -> None:
        self.instance_id, self.started_at = instance_id, now.wall
        self.forwarded, self.ended = forwarded, False
        self._series = self._new_series()
        self._handle(InstanceBegan(), now)
        if forwarded:
            self.outboxes[instance_id] = Outbox(instance_id, Observer.SIDECAR, self._encode)

    def _new_series(self) -> Ledger:
        return Ledger(self.instance_id, self.started_at, Observer.SIDECAR)

    def _rows_of_others(self) -> tuple[SeriesRow, ...]:
        """Where nothing entered, no call can be in two rows: the others' own are shown."""
        if not self.pod.has_totals_alone:
            return ()
        return tuple(
            SeriesRow(key, counts) for key, counts in _summed(self._others.values()).items()
        )


def _summed(snapshots: Iterable[UsageSnapshot]) -> Mapping[SeriesKey, TokenCounts]:
    series: dict[SeriesKey, TokenCounts] = {}
    for snapshot in snapshots:
        for row in snapshot.rows:
            known = row.key in series or len(series) < MAX_SERIES - 1
            key = row.key if known else OTHER
            series[key] = series.get(key, ZERO) + row.counts
    return series
