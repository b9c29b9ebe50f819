"""Bytes to events: the framings in which providers answer, sans-IO and bounded.

Each reads a copy of a response, in pieces of any size, and tells what is complete (``events``).
What it cannot read is a ``Gap``, never an exception: the bytes are a stranger's, and the traffic
that they are a copy of must not suffer from them. ``picker`` is what makes size harmless: it takes
the few wanted members out of a document while it passes.
"""

from agentspec_usage.extraction.framing.content import (
    STANDARD_DECODERS,
    ContentDecoder,
    Decoder,
    NewDecoder,
)
from agentspec_usage.extraction.framing.events import Event, Framing, Item, PickedEvent
from agentspec_usage.extraction.framing.eventstream import EventStreamFraming
from agentspec_usage.extraction.framing.gaps import Gap, GapReason
from agentspec_usage.extraction.framing.include_usage import with_include_usage
from agentspec_usage.extraction.framing.inflate import MessageInflater
from agentspec_usage.extraction.framing.json_array import JsonArrayFraming
from agentspec_usage.extraction.framing.json_document import JsonDocumentFraming
from agentspec_usage.extraction.framing.json_value import read_json
from agentspec_usage.extraction.framing.limits import ExtractionLimits
from agentspec_usage.extraction.framing.ndjson import NdjsonFraming
from agentspec_usage.extraction.framing.picker import JsonPicker, Picked
from agentspec_usage.extraction.framing.socket_extensions import Deflate, agreed_deflate
from agentspec_usage.extraction.framing.sse import SseFraming
from agentspec_usage.extraction.framing.usage_chunk import UsageChunkFilter
from agentspec_usage.extraction.framing.websocket import WebSocketFraming

__all__ = [
    "STANDARD_DECODERS",
    "ContentDecoder",
    "Decoder",
    "Deflate",
    "Event",
    "EventStreamFraming",
    "ExtractionLimits",
    "Framing",
    "Gap",
    "GapReason",
    "Item",
    "JsonArrayFraming",
    "JsonDocumentFraming",
    "JsonPicker",
    "MessageInflater",
    "NdjsonFraming",
    "NewDecoder",
    "Picked",
    "PickedEvent",
    "SseFraming",
    "UsageChunkFilter",
    "WebSocketFraming",
    "agreed_deflate",
    "read_json",
    "with_include_usage",
]
