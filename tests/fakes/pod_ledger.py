"""The pod's ledger as the control port sees it: what it shows, and what it was given."""

from __future__ import annotations

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot
from agentspec_usage.sidecar.calls import LedgerFacts, LedgerUnavailableError
from agentspec_usage.wire.records import decode_records
from agentspec_usage.wire.records_answer import RecordsAnswer

__all__ = ["FakePodLedger"]

INSTANCE = "a" * 32


class FakePodLedger:
    """A ``UsageView``, a ``FrameIntake`` and a ``TotalsSink``. ``facts_now`` is what it says of
    itself; with ``unavailable`` it takes no frames.
    """

    def __init__(self) -> None:
        self.counts: dict[SeriesKey, TokenCounts] = {}
        self.seen: list[UsageSnapshot] = []
        self.bodies: list[bytes] = []
        self.facts_now = LedgerFacts(INSTANCE, durable_file=True)
        self.unavailable = False

    def snapshot(self) -> UsageSnapshot:
        rows = tuple(SeriesRow(key, counts) for key, counts in self.counts.items())
        totals = ZERO
        for row in rows:
            totals += row.counts
        return UsageSnapshot(
            totals,
            rows,
            instance_id=INSTANCE,
            observer=Observer.SIDECAR,
            seq=totals.calls,
            window_started_at=1_790_000_000_000,
        )

    def facts(self) -> LedgerFacts:
        return self.facts_now

    def see(self, snapshot: UsageSnapshot) -> None:
        self.seen.append(snapshot)

    async def take(self, body: bytes) -> RecordsAnswer:
        frames = decode_records(body)
        if self.unavailable:
            raise LedgerUnavailableError("no volume")
        self.bodies.append(body)
        return RecordsAnswer({frame.instance_id: frame.last for frame in frames})
