"""One JSON document, the usual body of a call that does not stream, as a framing of one event."""

from __future__ import annotations

from collections.abc import Iterable

from agentspec_usage.extraction.framing.events import Item
from agentspec_usage.extraction.framing.limits import ExtractionLimits
from agentspec_usage.extraction.framing.payload import Payload

__all__ = ["JsonDocumentFraming"]


class JsonDocumentFraming:
    """Tells the whole body at its end."""

    def __init__(self, wanted: Iterable[str] = (), limits: ExtractionLimits | None = None) -> None:
        self._document = Payload(wanted, limits or ExtractionLimits())

    def feed(self, data: bytes) -> list[Item]:
        self._document.add(data)
        return []

    def end(self) -> list[Item]:
        return [self._document.close()]
