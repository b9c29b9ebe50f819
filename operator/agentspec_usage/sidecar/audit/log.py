"""The audit: hears of every request, is told of its events, and tells who listens.

An entry is in the ring from the moment its request arrives, so that events which come while the
model still answers find it. Listeners hear of it when it is over, and again when more is told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agentspec_usage.extraction.values import ReadCall
from agentspec_usage.metering.names import showable_name
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.answered import answered_status
from agentspec_usage.sidecar.audit.early import EarlyEvents
from agentspec_usage.sidecar.audit.entry import AuditEntry, encode_entry
from agentspec_usage.sidecar.audit.events import EventPush
from agentspec_usage.sidecar.audit.feed import AuditFeed
from agentspec_usage.sidecar.audit.ring import AuditRing
from agentspec_usage.sidecar.audit.totals import EventTotals
from agentspec_usage.sidecar.calls import ProxiedEnd, ProxiedRequest

__all__ = ["Audit", "sse_message"]


class Audit:
    """An ``ExchangeObserver``, and the taker of pushes."""

    def __init__(
        self,
        ring: AuditRing,
        early: EarlyEvents,
        feed: AuditFeed,
        totals: EventTotals,
        clock: Clock,
    ) -> None:
        self.ring = ring
        self.early = early
        self.feed = feed
        self._totals = totals
        self._clock = clock
        self.not_understood = 0
        """Pushed events that were left out."""

    def began(self, request: ProxiedRequest) -> None:
        entry = _entry(request)
        self.ring.put(entry)
        for name in (entry.request_id, entry.call_id):
            behavior, agent_name = self.early.take(name, request.began.steady)
            if behavior.size or agent_name:
                self.ring.add(entry.request_id, behavior, agent_name)

    def read(self, request: ProxiedRequest, counted: Sequence[ReadCall]) -> None:
        """A connection that goes on is no news for the audit."""

    def ended(self, request: ProxiedRequest, end: ProxiedEnd, counted: Sequence[ReadCall]) -> None:
        entry = self.ring.end(request.key, answered_status(end), end.duration_ms)
        if entry is not None:
            self._publish(entry)

    def take(self, push: EventPush) -> bool:
        """Count and keep what was pushed; whether its request is in the ring already."""
        self._totals.add(push.used)
        self.not_understood += push.not_understood
        entry = self.ring.add(push.request_id, push.behavior, push.agent_name)
        if entry is None:
            now = round(self._clock.monotonic() * 1000)
            self.early.keep(push.request_id, push.behavior, push.agent_name, now)
            return False
        if entry.duration_ms is not None:
            self._publish(entry)
        return True

    def announce(self, kind: str, document: Mapping[str, object]) -> None:
        """Tell the listeners of something that is no request, such as a budget's threshold."""
        self.feed.publish(lambda: sse_message(document, kind))

    def _publish(self, entry: AuditEntry) -> None:
        self.feed.publish(lambda: sse_message(encode_entry(entry)))


def sse_message(document: Mapping[str, object], kind: str = "") -> bytes:
    """``document`` as one event of a stream; JSON in ASCII has no line break."""
    head = f"event: {kind}\n" if kind else ""
    return f"{head}data: {json.dumps(document, separators=(',', ':'))}\n\n".encode("ascii")


def _entry(request: ProxiedRequest) -> AuditEntry:
    return AuditEntry(
        request.key,
        request.began.wall,
        showable_name(request.method),
        showable_name(request.path),
        request.call_id,
    )
