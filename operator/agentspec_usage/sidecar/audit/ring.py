"""The ring: the newest requests by id, the oldest overwritten in constant time.

Memory is bounded twice: the number of entries, and over all of them the number of details that
events added. What does not fit is left out and counted; tokens are counted elsewhere, so a ring
that overflows loses detail and no number.
"""

from __future__ import annotations

from dataclasses import replace

from agentspec_usage.sidecar.audit.entry import NO_BEHAVIOR, AuditEntry, Behavior

__all__ = ["DEFAULT_RING_SIZE", "MAX_DETAILS", "MAX_DETAILS_OF_ONE", "AuditRing"]

DEFAULT_RING_SIZE = 1000

MAX_DETAILS = 20_000
"""Details of all entries together, about 0.2 kB each at most."""

MAX_DETAILS_OF_ONE = 500
"""Details of one kind in one entry: as many as one push may bring."""


class AuditRing:
    """``size`` entries. Not thread-safe: it lives on the event loop."""

    def __init__(self, size: int = DEFAULT_RING_SIZE, max_details: int = MAX_DETAILS) -> None:
        self._slots: list[AuditEntry | None] = [None] * size
        self._next = 0
        self._by_key: dict[str, int] = {}
        self._by_call_id: dict[str, int] = {}
        self._details_left = max_details
        self.overwrites = 0
        """Entries that newer ones took the place of."""
        self.details_left_out = 0
        """Details of events that did not fit."""

    def __len__(self) -> int:
        return min(self._next, len(self._slots))

    def put(self, entry: AuditEntry) -> None:
        """Add the newest entry."""
        slot = self._next % len(self._slots)
        old = self._slots[slot]
        if old is not None:
            self.overwrites += 1
            self._details_left += old.behavior.size
            _forget(self._by_key, old.request_id, slot)
            _forget(self._by_call_id, old.call_id, slot)
        self._slots[slot] = replace(entry, behavior=NO_BEHAVIOR) if entry.behavior.size else entry
        self._next += 1
        self._by_key[entry.request_id] = slot
        if entry.call_id:
            self._by_call_id[entry.call_id] = slot
        if entry.behavior.size:
            self.add(entry.request_id, entry.behavior)

    def find(self, request_id: str) -> AuditEntry | None:
        """The entry with this id, else the newest one with this call id."""
        slot = self._by_key.get(request_id)
        if slot is None:
            # Apart from the ids: a client chooses its call ids, and could choose another's id.
            slot = self._by_call_id.get(request_id)
        return None if slot is None else self._slots[slot]

    def end(self, request_id: str, status: int | None, duration_ms: int) -> AuditEntry | None:
        """The request is over; its entry, unless it was overwritten."""
        slot = self._by_key.get(request_id)
        entry = None if slot is None else self._slots[slot]
        if entry is None:
            return None
        return self._set(replace(entry, status=status, duration_ms=duration_ms))

    def add(self, request_id: str, behavior: Behavior, agent_name: str = "") -> AuditEntry | None:
        """More was told of a request; its entry, unless it is not in the ring."""
        entry = self.find(request_id)
        if entry is None:
            return None
        known = entry.behavior
        joined = known.joined(behavior, MAX_DETAILS_OF_ONE)
        if joined.size - known.size > self._details_left:
            joined = known
        self._details_left -= joined.size - known.size
        self.details_left_out += known.size + behavior.size - joined.size
        return self._set(replace(entry, behavior=joined, agent_name=agent_name or entry.agent_name))

    def entries(self) -> list[AuditEntry]:
        """All of them, the oldest first."""
        size = len(self._slots)
        first = max(self._next - size, 0)
        listed = (self._slots[position % size] for position in range(first, self._next))
        return [entry for entry in listed if entry is not None]

    def _set(self, entry: AuditEntry) -> AuditEntry:
        self._slots[self._by_key[entry.request_id]] = entry
        return entry


def _forget(index: dict[str, int], name: str, slot: int) -> None:
    if index.get(name) == slot:
        del index[name]
