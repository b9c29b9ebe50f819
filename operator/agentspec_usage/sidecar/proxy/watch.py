"""What the meter is told of one request: that it begins, and, exactly once, how it ended.

Between the two a copy of the answer is read for usage. Nothing here decides what is forwarded, save
the meter's refusal, and nothing here can break it: every step that reads or tells runs behind the
shield.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agentspec_usage.extraction.exchange import ExchangeReader
from agentspec_usage.extraction.framing import NewDecoder
from agentspec_usage.extraction.request import RequestFacts, read_request
from agentspec_usage.extraction.routing import Route, find_route
from agentspec_usage.extraction.values import Extraction, ReadCall
from agentspec_usage.metering.pod_calls import Now
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.calls import CallMeter, EndedBy, ProxiedEnd, ProxiedRequest, Refusal
from agentspec_usage.sidecar.proxy.forwarding import CALL_ID
from agentspec_usage.sidecar.proxy.heads import HeaderLine, RequestHead, ResponseHead, values
from agentspec_usage.sidecar.proxy.routing import Destination
from agentspec_usage.sidecar.proxy.shield import Shield

__all__ = ["Metering", "Watch"]

_LONGEST_CALL_ID = 128
_FAULT = Extraction(unmetered=True, reason="a fault of the reader")


@dataclass(frozen=True, slots=True)
class Metering:
    """What every watch of a proxy needs."""

    meter: CallMeter
    clock: Clock
    draw_id: Callable[[], str]
    decoders: Mapping[str, NewDecoder]
    shield: Shield = field(default_factory=Shield)

    def now(self) -> Now:
        return Now(steady=int(self.clock.monotonic() * 1000), wall=self.clock.now())


class Watch:
    """One request. ``key`` is its name, ``facts`` what is known of the call once it was judged."""

    __slots__ = (
        "_began",
        "_call_id",
        "_first_byte",
        "_metering",
        "_method",
        "_over",
        "_path",
        "_reader",
        "_request",
        "_route",
        "_status",
        "facts",
        "injected",
        "key",
        "request_bytes",
        "response_bytes",
    )

    def __init__(self, metering: Metering, head: RequestHead, there: Destination) -> None:
        self._metering = metering
        self._began = metering.now()
        self.key = metering.draw_id()
        self._call_id = _call_id(head.lines)
        self._method = head.method.decode("ascii")
        self._path = there.asked
        self._route: Route | None = metering.shield.run(
            find_route,
            None,
            there.upstream.provider,
            self._method,
            there.path,
            there.upstream.surface,
        )
        self.facts: RequestFacts | None = None
        self._request: ProxiedRequest | None = None
        self._reader: ExchangeReader | None = None
        self._status: int | None = None
        self._first_byte: int | None = None
        self._over = False
        self.injected = False
        self.request_bytes = 0
        self.response_bytes = 0

    @property
    def metered(self) -> bool:
        """Whether this request can use tokens."""
        return self._route is not None

    def begin(self, body: bytes) -> Refusal | None:
        """``body``: the request's, or as much of it as is held."""
        run = self._metering.shield.run
        if self._route is not None:
            self.facts = run(read_request, RequestFacts(self._route), self._route, body)
        self._request = ProxiedRequest(
            key=self.key,
            call_id=self._call_id,
            method=self._method,
            path=self._path,
            began=self._began,
            facts=self.facts,
        )
        return run(self._metering.meter.begin, None, self._request)

    def answered(self, head: ResponseHead) -> None:
        """The final answer begins."""
        self._status = head.status
        if self.facts is not None:
            self._reader = self._metering.shield.run(self._new_reader, None, self.facts, head)

    def switched(self, head: ResponseHead) -> None:
        """The connection became a tunnel, which is not read here."""
        self._status = head.status

    def saw(self, data: bytes) -> None:
        """The next bytes from the upstream, as it sent them."""
        if self._first_byte is None:
            self._first_byte = self._metering.now().steady
        self.response_bytes += len(data)

    def feed(self, data: bytes) -> None:
        """The next bytes of the answer's body, to be read for usage."""
        self.saw(data)
        reader = self._reader
        if reader is not None and not self._metering.shield.run(_fed, False, reader, data):
            self._reader = None

    def read(self, calls: Sequence[ReadCall]) -> None:
        """Calls that completed on a connection which goes on."""
        if calls and self._request is not None:
            self._metering.shield.run(self._metering.meter.read, None, self._request, calls)

    def end(
        self,
        ended_by: EndedBy,
        *,
        whole: bool,
        sent: bool = True,
        extraction: Extraction | None = None,
    ) -> None:
        """Tells the meter, the first time and if it was told of a beginning. ``whole``: the answer
        came to its end. ``extraction`` is the one of a tunnel, which is not read here.
        """
        if self._over or self._request is None:
            return
        self._over = True
        run = self._metering.shield.run
        if extraction is None and self.facts is not None and self._status is not None:
            reader = self._reader
            extraction = _FAULT if reader is None else run(_ended, _FAULT, reader, not whole)
        ended = self._metering.now()
        first = self._first_byte
        end = ProxiedEnd(
            status=self._status,
            ended_by=ended_by,
            ended=ended,
            duration_ms=max(0, ended.steady - self._began.steady),
            extraction=extraction,
            ttft_ms=None if first is None else max(0, first - self._began.steady),
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            sent=sent,
            injected=self.injected,
        )
        run(self._metering.meter.end, None, self._request, end)

    def _new_reader(self, facts: RequestFacts, head: ResponseHead) -> ExchangeReader:
        headers = [(line.key.decode("ascii"), line.value.decode("latin-1")) for line in head.lines]
        return ExchangeReader(facts, head.status, headers, self._metering.decoders)


def _fed(reader: ExchangeReader, data: bytes) -> bool:
    reader.feed(data)
    return True


def _ended(reader: ExchangeReader, aborted: bool) -> Extraction:
    return reader.end(aborted=aborted)


def _call_id(lines: Sequence[HeaderLine]) -> str:
    """What the SDK put on the request; what could not be its own is none."""
    found = values(lines, CALL_ID)
    if len(found) != 1 or len(found[0]) > _LONGEST_CALL_ID:
        return ""
    text = found[0].decode("latin-1")
    return text if text.isascii() and text.isprintable() else ""
