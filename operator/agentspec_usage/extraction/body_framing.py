"""How a response's body is cut into documents: by what it says it is, and by how it begins.

A ``Content-Type`` alone does not decide: errors come as JSON under the name of a stream, some
servers send streams as plain text, and Gemini's stream is a JSON array or server-sent events by a
parameter of the request. How a body begins tells JSON from everything else.
"""

from __future__ import annotations

from enum import Enum

from agentspec_usage.extraction.framing import (
    EventStreamFraming,
    ExtractionLimits,
    Framing,
    JsonArrayFraming,
    JsonDocumentFraming,
    NdjsonFraming,
    SseFraming,
)

__all__ = ["MAX_LEAD", "BodyKind", "body_kind", "new_framing"]

MAX_LEAD = 1024
"""White space before a body's first character, at most."""

_LINES = ("ndjson", "jsonl", "stream+json", "json-seq", "jsonlines")
_MARK = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


class BodyKind(Enum):
    """What a body consists of."""

    DOCUMENT = "one JSON document"
    ARRAY = "an array of documents"
    LINES = "a document a line"
    EVENTS = "server-sent events"
    BINARY_EVENTS = "AWS events"
    OTHER = "nothing that is read"


def body_kind(content_type: str, lead: bytes, *, lines: bool, ended: bool) -> BodyKind | None:
    """The kind of a body that begins with ``lead``; None: too few bytes came to tell.

    ``lines``: the API is known to stream lines. ``ended``: nothing more comes.
    """
    media = content_type.partition(";")[0].strip().lower()
    if media == "application/vnd.amazon.eventstream":
        return BodyKind.BINARY_EVENTS
    begin = lead.removeprefix(_MARK).lstrip(_BLANK)
    if not begin and not ended and len(lead) < MAX_LEAD:
        return None
    if begin.startswith(b"{"):
        is_lines = lines or any(media.endswith(name) for name in _LINES)
        return BodyKind.LINES if is_lines else BodyKind.DOCUMENT
    if begin.startswith(b"["):
        return BodyKind.ARRAY
    if media == "text/event-stream" or begin.startswith(_FIELDS):
        return BodyKind.EVENTS
    if not ended and any(name.startswith(begin) for name in _FIELDS):
        return None
    return BodyKind.OTHER


def new_framing(kind: BodyKind, wanted: frozenset[str], limits: ExtractionLimits) -> Framing | None:
    """What cuts a body of this kind; None for one that is not read."""
    match kind:
        case BodyKind.DOCUMENT:
            return JsonDocumentFraming(wanted, limits)
        case BodyKind.ARRAY:
            return JsonArrayFraming(wanted, limits)
        case BodyKind.LINES:
            return NdjsonFraming(wanted, limits)
        case BodyKind.EVENTS:
            return SseFraming(wanted, limits)
        case BodyKind.BINARY_EVENTS:
            return EventStreamFraming(wanted, limits)
        case BodyKind.OTHER:
            return None
