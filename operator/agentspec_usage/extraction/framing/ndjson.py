"""Newline-delimited JSON (Ollama, Cohere v1): each line is an event, blank ones are not.

The last line counts without its newline: servers leave it out.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentspec_usage.extraction.framing.events import Event, Item
from agentspec_usage.extraction.framing.limits import ExtractionLimits
from agentspec_usage.extraction.framing.payload import Payload

__all__ = ["NdjsonFraming"]


class NdjsonFraming:
    """Lines to events without names."""

    def __init__(self, wanted: Iterable[str] = (), limits: ExtractionLimits | None = None) -> None:
        self._line = Payload(wanted, limits or ExtractionLimits())

    def feed(self, data: bytes) -> list[Item]:
        items: list[Item] = []
        *complete, rest = data.split(b"\n")
        for line in complete:
            self._line.add(line)
            items += self.end()
        self._line.add(rest)
        return items

    def end(self) -> list[Item]:
        item = self._line.close()
        if isinstance(item, Event) and not item.data.strip():
            return []
        return [item]
