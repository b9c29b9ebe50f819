"""One server-sent event: lines of fields to a name and data (WHATWG HTML, 9.2.6).

``id`` and ``retry`` tell a client how to connect again. Who reads a copy never does, so they are
fields like any that the specification does not name: ignored.

An event that is too large to be kept is read while it passes, its data going to a picker.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentspec_usage.extraction.framing.events import Event, Item, PickedEvent
from agentspec_usage.extraction.framing.gaps import Gap, GapReason
from agentspec_usage.extraction.framing.limits import ExtractionLimits
from agentspec_usage.extraction.framing.picker import JsonPicker

__all__ = ["PassingEvent", "event_of"]

_NAME_BYTES = 256
"""What is kept of an event's name; providers' have 60 at most."""

_LONGEST_FIELD = len(b"event")


def event_of(block: bytes) -> Event | None:
    """The event of a block of lines, which end in LF; None where it has no data."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return Event("", block[6:])
    name, lines = b"", list[bytes]()
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return Event(_text(name), b"\n".join(lines)) if lines else None


class PassingEvent:
    """One event whose block of lines comes in pieces and is not kept."""

    __slots__ = ("_field", "_lines", "_name", "_picker", "_start", "_value_begun")

    def __init__(self, wanted: Iterable[str], limits: ExtractionLimits) -> None:
        self._picker = JsonPicker(wanted, limits) if wanted else None
        self._name = b""
        self._lines = 0
        self._begin_line()

    def feed(self, data: bytes) -> None:
        """More of the block, its lines ending in LF."""
        first, *others = data.split(b"\n")
        self._continue_line(first)
        for part in others:
            self._end_line()
            self._begin_line()
            self._continue_line(part)

    def end(self) -> Item | None:
        """The item of the event; None where it has no data."""
        self._end_line()
        if not self._lines:
            return None
        if self._picker is None:
            return Gap(GapReason.OVERFLOW)
        return PickedEvent(_text(self._name), self._picker.end())

    def _begin_line(self) -> None:
        self._start = b""
        self._field: bytes | None = None
        self._value_begun = False

    def _continue_line(self, part: bytes) -> None:
        if self._field is not None:
            self._continue_value(part)
            return
        self._start += part
        field, colon, value = self._start.partition(b":")
        if colon or len(field) > _LONGEST_FIELD:
            self._open(field)
            self._continue_value(value)

    def _end_line(self) -> None:
        if self._field is None:
            self._open(self._start)

    def _open(self, field: bytes) -> None:
        self._field, self._start = field, b""
        if field == b"event":
            self._name = b""
        elif field == b"data":
            if self._lines and self._picker is not None:
                self._picker.feed(b"\n")
            self._lines += 1

    def _continue_value(self, part: bytes) -> None:
        if not part:
            return
        if not self._value_begun:
            self._value_begun = True
            part = part.removeprefix(b" ")
        if self._field == b"data" and self._picker is not None:
            self._picker.feed(part)
        elif self._field == b"event":
            self._name = (self._name + part[:_NAME_BYTES])[:_NAME_BYTES]


def _text(name: bytes) -> str:
    return name[:_NAME_BYTES].decode("utf-8", "replace")
