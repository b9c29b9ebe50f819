"""A JSON array that is written while it is read (Gemini's stream without ``alt=sse``).

Each element is an event as soon as its last byte is here, wherever the bytes were cut. A document
that is no array, as the body of an error, is its own only element.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.framing.events import Item
from agentspec_usage.extraction.framing.gaps import Gap, GapReason
from agentspec_usage.extraction.framing.limits import ExtractionLimits
from agentspec_usage.extraction.framing.payload import Payload
from agentspec_usage.extraction.framing.scanner import (
    ARRAY,
    COMMA,
    END_ARRAY,
    JsonScanner,
    Steps,
)

__all__ = ["JsonArrayFraming"]


class JsonArrayFraming:
    """Elements to events without names. What follows the array is not looked at."""

    def __init__(self, wanted: Iterable[str] = (), limits: ExtractionLimits | None = None) -> None:
        self._element = Payload(wanted, limits or ExtractionLimits())
        self._scanner = JsonScanner()
        self._items: list[Item] = []
        self._reading = self._root()
        self._over = False
        next(self._reading)

    def feed(self, data: bytes) -> list[Item]:
        if self._over or not data:
            return []
        self._scanner.give(data)
        self._items = []
        try:
            next(self._reading)
        except StopIteration:
            self._over = True
        except WireError:
            self._over = True
            self._items.append(Gap(GapReason.MALFORMED))
        return self._items

    def end(self) -> list[Item]:
        if self._over:
            return []
        self._over = True
        return [Gap(GapReason.TRUNCATED)]

    def _root(self) -> Steps[None]:
        scanner = self._scanner
        if (yield from scanner.peek()) != ARRAY:
            yield from self._event()
            return
        yield from scanner.expect(ARRAY)
        if (yield from scanner.peek()) == END_ARRAY:
            return
        while True:
            yield from self._event()
            if (yield from scanner.peek()) == END_ARRAY:
                return
            yield from scanner.expect(COMMA)

    def _event(self) -> Steps[None]:
        yield from self._scanner.value(self._element.add)
        self._items.append(self._element.close())
