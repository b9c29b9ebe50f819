"""What a heartbeat says next, and what its answer means. Sans-IO.

Two kinds of receiver take the same request. Ours answers 200 and says where it takes frames: it is
told cumulative totals, and frames carry the records. AgentSpec's answers 204 and adds up what it is
told: it gets windows, and a window is passed exactly when it was accepted. Until one of them has
accepted the first heartbeat nobody knows which it is; that costs nothing, because the first window
is the whole.

A heartbeat that was not accepted is forgotten and the next one says everything again, with what was
used meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from threading import Lock

from agentspec_usage.metering.cursor import Cursor
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.sdk.endpoint import HealthCheck
from agentspec_usage.sdk.ledger import UsageLedger
from agentspec_usage.sdk.shield import shielded
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.heartbeat_encoding import encode_heartbeat
from agentspec_usage.wire.records_answer import HeartbeatAnswer, decode_heartbeat_answer

__all__ = ["GapReport", "Heartbeat", "Heartbeats"]

GapReport = Callable[[], Mapping[str, object]]


class _Receiver(Enum):
    UNKNOWN = auto()
    CUMULATIVE = auto()
    WINDOWS = auto()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A request's body, and the totals that it stands for."""

    body: bytes
    totals: UsageSnapshot


class Heartbeats:
    """Of one ledger, to one receiver. One heartbeat is under way at a time."""

    def __init__(self, ledger: UsageLedger, health: HealthCheck, gap: GapReport | None) -> None:
        self._ledger = ledger
        self._health = health
        self._gap = gap
        self.begin()

    def begin(self) -> None:
        """A forked child begins anew."""
        self._lock = Lock()
        self._cursor = Cursor()
        self._receiver = _Receiver.UNKNOWN

    @property
    def in_windows(self) -> bool:
        """Whether the receiver turned out to be AgentSpec's own."""
        return self._receiver is _Receiver.WINDOWS

    def next(self, *, final: bool = False) -> Heartbeat:
        """The heartbeat to send now."""
        totals = self._ledger.snapshot(final=final)
        shown = totals
        with self._lock:
            if self._receiver is _Receiver.WINDOWS:
                shown = self._cursor.peek(totals)
        health = {"status": shielded(self._health) or "unhealthy"}
        gap = {} if self._gap is None else shielded(self._gap) or {}
        return Heartbeat(encode_heartbeat(health, gap, [shown]), totals)

    def accepted(self, sent: Heartbeat, status: int, body: bytes) -> HeartbeatAnswer | None:
        """``sent`` was answered with this 2xx; what ours said, None from AgentSpec's.

        ``WireError`` for what neither says: a page of something in between accepted nothing.
        """
        answer = None
        if self._receiver is not _Receiver.WINDOWS and status != 204 and body:
            answer = _said(body)
        with self._lock:
            if answer is not None:
                self._receiver = _Receiver.CUMULATIVE
            elif self._receiver is not _Receiver.CUMULATIVE:
                self._receiver = _Receiver.WINDOWS
                self._cursor = self._cursor.advanced(sent.totals)
        return answer


def _said(body: bytes) -> HeartbeatAnswer | None:
    """Our answer; None for an object that has nothing of ours in it."""
    document = strict_json.loads(body)
    if isinstance(document, dict) and not {"durable", "records"} & document.keys():
        return None
    return decode_heartbeat_answer(body)
