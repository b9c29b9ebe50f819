"""What the SDKs of a pod told and nobody could place yet.

Kept by the ids that a report has, because whether a report is alone depends on its kinds of ids
and on nothing else, and found by id when the call that it tells of ends at last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentspec_usage.metering.record import UsageRecord

__all__ = ["Reports", "ids_of", "kinds_of"]

Kinds = tuple[bool, bool]


def ids_of(record: UsageRecord) -> list[tuple[str, str]]:
    """What another observer of the call may agree on; a response id is its provider's."""
    ids = [("call", record.call_id)] if record.call_id else []
    if record.response_id:
        ids.append((f"response:{record.key.provider}", record.response_id))
    return ids


def kinds_of(record: UsageRecord) -> Kinds:
    """Whether it has a call id, and whether it has a response id."""
    return bool(record.call_id), bool(record.response_id)


class Reports:
    """Listed reports, oldest first among those of the same kinds."""

    def __init__(self, reports: Iterable[UsageRecord] = ()) -> None:
        self._by_kinds: dict[Kinds, dict[int, UsageRecord]] = {}
        self._by_id: dict[tuple[str, str], list[tuple[Kinds, int]]] = {}
        self._serial = 0
        self.tokens = 0
        for report in reports:
            self.add(report)

    def __len__(self) -> int:
        return sum(map(len, self._by_kinds.values()))

    def __iter__(self) -> Iterator[UsageRecord]:
        """All of them, oldest first."""
        listed = [pair for group in self._by_kinds.values() for pair in group.items()]
        return (report for _, report in sorted(listed, key=lambda pair: pair[0]))

    def add(self, report: UsageRecord) -> None:
        kinds = kinds_of(report)
        self._serial += 1
        self._by_kinds.setdefault(kinds, {})[self._serial] = report
        for index in ids_of(report):
            self._by_id.setdefault(index, []).append((kinds, self._serial))
        self.tokens += report.counts.total

    def take_equal(self, record: UsageRecord) -> UsageRecord | None:
        """Remove and return the first report that shares an id with ``record``."""
        for index in ids_of(record):
            for kinds, serial in self._by_id.get(index, ()):
                return self._take(kinds, serial)
        return None

    def take_oldest(self) -> UsageRecord:
        """Remove and return the report that has been listed longest."""
        serial, kinds = min((next(iter(g)), k) for k, g in self._by_kinds.items() if g)
        return self._take(kinds, serial)

    def take_all(self, kinds: Kinds) -> Iterator[UsageRecord]:
        """Remove and yield every report of these kinds."""
        for serial in list(self._by_kinds.get(kinds, ())):
            yield self._take(kinds, serial)

    def kinds(self) -> list[Kinds]:
        """The kinds of the reports that are listed."""
        return sorted(kinds for kinds, group in self._by_kinds.items() if group)

    def _take(self, kinds: Kinds, serial: int) -> UsageRecord:
        report = self._by_kinds[kinds].pop(serial)
        for index in ids_of(report):
            self._by_id[index].remove((kinds, serial))
            if not self._by_id[index]:
                del self._by_id[index]
        self.tokens -= report.counts.total
        return report
