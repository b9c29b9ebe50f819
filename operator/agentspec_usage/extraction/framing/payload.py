"""The bytes of one event on their way: kept while they are few, picked from when they are many.

Which of the two happens depends on the event's size alone, never on how its bytes were cut.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentspec_usage.extraction.framing.events import Event, Item, PickedEvent
from agentspec_usage.extraction.framing.gaps import Gap, GapReason
from agentspec_usage.extraction.framing.limits import ExtractionLimits
from agentspec_usage.extraction.framing.picker import JsonPicker

__all__ = ["Payload"]


class Payload:
    """Of one event after the other."""

    __slots__ = ("_kept", "_limits", "_over", "_picker", "_wanted")

    def __init__(self, wanted: Iterable[str], limits: ExtractionLimits) -> None:
        self._wanted = frozenset(wanted)
        self._limits = limits
        self._kept = bytearray()
        self._over = False
        self._picker: JsonPicker | None = None

    def add(self, data: bytes) -> None:
        """The next bytes of the event."""
        if self._over:
            if self._picker is not None:
                self._picker.feed(data)
            return
        self._kept += data
        if len(self._kept) > self._limits.event_bytes:
            self._over = True
            if self._wanted:
                self._picker = JsonPicker(self._wanted, self._limits)
                self._picker.feed(bytes(self._kept))
            self._kept.clear()

    def close(self, name: str = "") -> Item:
        """The event is complete; the next one begins."""
        item: Item
        if not self._over:
            item = Event(name, bytes(self._kept))
            self._kept.clear()
            return item
        item = PickedEvent(name, self._picker.end()) if self._picker else _OVERFLOW
        self._over, self._picker = False, None
        return item


_OVERFLOW = Gap(GapReason.OVERFLOW)
