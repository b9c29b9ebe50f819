"""A sink that keeps what it hears."""

from __future__ import annotations

from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.snapshot import UsageSnapshot

__all__ = ["Heard"]


class Heard:
    """A ``RecordSink``: the records of the ledger, in order."""

    def __init__(self) -> None:
        self.records: list[UsageRecord] = []
        self.refused = 0

    def begin(self, snapshot: UsageSnapshot) -> None:
        self.records = []

    def append(self, record: UsageRecord) -> None:
        self.records.append(record)

    def invalid(self, calls: int, at: int) -> None:
        self.refused = calls

    @property
    def only(self) -> UsageRecord:
        """The one record there is."""
        (record,) = self.records
        return record
