"""One HTTP exchange, from the copied bytes of its response to the calls in it.

What the status decides:

* 2xx with usage: its calls; without, one unmetered call;
* 5xx: the provider may have worked on it, so one unmetered call;
* anything else: refused or redirected before a model saw it, nothing was used. So is an answer that
  opened no WebSocket where one was asked for.

A stream that broke off keeps what was said until then: a usage object that is the provider's last
word counts whole, whichever way the stream ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.body_framing import BodyKind, body_kind, new_framing
from agentspec_usage.extraction.framing import (
    STANDARD_DECODERS,
    ContentDecoder,
    ExtractionLimits,
    Framing,
    Gap,
    GapReason,
    Item,
    NewDecoder,
    PickedEvent,
    read_json,
)
from agentspec_usage.extraction.gateway_cache import is_repeated
from agentspec_usage.extraction.read_calls import CallsRead, read_calls
from agentspec_usage.extraction.reading import Reading
from agentspec_usage.extraction.request import RequestFacts
from agentspec_usage.extraction.values import Extraction

__all__ = ["ExchangeReader"]

_LIMITS = ExtractionLimits()

_NOTHING = (b"", b"[DONE]")
"""Events without a document."""


class ExchangeReader:
    """Reads a copy of one response, as its bytes come. ``headers``: names in lower case."""

    def __init__(
        self,
        request: RequestFacts,
        status: int,
        headers: Sequence[tuple[str, str]],
        decoders: Mapping[str, NewDecoder] = STANDARD_DECODERS,
        limits: ExtractionLimits = _LIMITS,
    ) -> None:
        self._request = request
        self._dialect = request.surface.dialect
        self._status = status
        self._succeeded = 200 <= status < 300 and not request.route.websocket
        self._limits = limits
        self._headers = dict(headers)
        self._reading = Reading(headers=self._headers)
        coding = ",".join(value for name, value in headers if name == "content-encoding")
        self._decoder = ContentDecoder(coding, decoders, limits)
        self._lead = b""
        self._kind: BodyKind | None = None
        self._framing: Framing | None = None
        self._gap: Gap | None = None
        self._bytes = 0

    def feed(self, data: bytes) -> None:
        """The next bytes of the body, as they came. Never raises for what they are."""
        self._bytes += len(data)
        if self._succeeded:
            for piece in self._decoder.feed(data):
                self._read(piece)

    def end(self, *, aborted: bool = False) -> Extraction:
        """The body is over, or nothing more of it will come. To be called once."""
        gap = self._decoder.end()
        if self._lead:
            self._begin(ended=True)
        if self._framing is not None:
            self._take(self._framing.end())
        self._gap = self._gap or gap
        if not self._succeeded:
            route = self._request.route
            failed = self._status >= 500 and not (route.retrieval or route.websocket)
            reason = f"status {self._status}" if failed else ""
            return self._extraction(CallsRead(), reason)
        repeated = is_repeated(self._headers)
        if self._is_unfinished:
            read = CallsRead()
        else:
            read = read_calls(self._request, self._reading, repeated=repeated)
        return self._extraction(read, self._missing(read, aborted), repeated=repeated)

    def _read(self, data: bytes) -> None:
        if self._framing is not None:
            self._take(self._framing.feed(data))
        elif self._kind is None:
            self._lead += data
            self._begin(ended=False)

    def _begin(self, *, ended: bool) -> None:
        """Choose the framing, once enough of the body came to tell."""
        request = self._request
        lead = self._lead
        self._kind = body_kind(
            self._headers.get("content-type", ""),
            lead,
            lines=request.surface.lines and request.streaming,
            ended=ended,
        )
        if self._kind is None:
            return
        self._lead = b""
        self._framing = new_framing(self._kind, self._dialect.wanted, self._limits)
        if self._framing is not None:
            self._take(self._framing.feed(lead))

    def _take(self, items: Iterable[Item]) -> None:
        for item in items:
            try:
                self._hear(item)
            except WireError:
                self._gap = self._gap or Gap(GapReason.DAMAGED)

    def _hear(self, item: Item) -> None:
        if isinstance(item, Gap):
            self._gap = self._gap or item
            return
        if isinstance(item, PickedEvent):
            self._gap = self._gap or item.picked.gap
            document: object = item.picked.document
        elif self._kind is not BodyKind.DOCUMENT and (
            item.data in _NOTHING or not self._dialect.concerns(item.data, self._reading)
        ):
            return
        else:
            document = read_json(item.data)
        if self._kind is BodyKind.DOCUMENT:
            self._dialect.response(self._reading, document)
        elif self._kind is BodyKind.BINARY_EVENTS:
            self._dialect.event(self._reading, {item.name: document})
        else:
            self._dialect.event(self._reading, document)

    def _missing(self, read: CallsRead, aborted: bool) -> str:
        """Why there is no usage where there should be; "" where there is, or need be none."""
        if read.calls or self._request.route.retrieval or self._pending:
            return ""
        if read.fault:
            return read.fault
        if self._gap is not None:
            return f"unreadable: {self._gap.reason.value}"
        if self._kind is BodyKind.OTHER:
            return "the response is no JSON"
        return "ended before its usage" if aborted else "no usage in the response"

    @property
    def _is_unfinished(self) -> bool:
        """Whether a response that is worked on elsewhere was looked at before its end. What it may
        show of its usage is not yet all.
        """
        request = self._request
        return self._reading.pending and (request.background or request.route.retrieval)

    @property
    def _pending(self) -> str:
        """The id under which a response goes on in the background."""
        if not self._request.background or not self._reading.pending:
            return ""
        return self._request.surface.id_of(self._reading.response_id)

    def _extraction(self, read: CallsRead, reason: str, *, repeated: bool = False) -> Extraction:
        pending = "" if read.calls else self._pending
        return Extraction(
            calls=read.calls,
            unmetered=bool(reason),
            reason=reason,
            pending_id=pending,
            retrieval=self._request.route.retrieval,
            served_from_cache=repeated and bool(read.calls),
            mismatches=read.mismatches,
            unknown_fields=read.unknown_fields,
            response_model=self._reading.model,
            response_bytes=self._bytes,
        )
