"""An audit on a clock moved by hand, with a ledger that remembers what it was shown."""

from __future__ import annotations

from agentspec_usage.sidecar.audit.early import EarlyEvents
from agentspec_usage.sidecar.audit.feed import QUEUE_LENGTH, AuditFeed
from agentspec_usage.sidecar.audit.log import Audit
from agentspec_usage.sidecar.audit.ring import AuditRing
from agentspec_usage.sidecar.audit.totals import EventTotals
from tests.fakes.hand_clock import HandClock
from tests.fakes.pod_ledger import FakePodLedger

__all__ = ["EVENTS_INSTANCE", "an_audit"]

EVENTS_INSTANCE = "e" * 32


def an_audit(
    ledger: FakePodLedger,
    clock: HandClock,
    *,
    size: int = 10,
    queue_length: int = QUEUE_LENGTH,
) -> Audit:
    totals = EventTotals(ledger, clock, EVENTS_INSTANCE)
    return Audit(AuditRing(size), EarlyEvents(), AuditFeed(length=queue_length), totals, clock)
