"""Asks for the usage of a stream whose client does not, and takes the answer out again.

OpenAI-style streams tell their usage only to those who ask with ``stream_options``. The member is
put into a request's body where it is missing, and the one event that this adds to the answer is
removed, so that the client sees what it would have seen. Nothing is changed where that cannot be
done exactly: a body that is not whole, is encoded, or is no JSON object.

An upstream that does not know the member refuses the request (400; 422 from servers that validate
by schema). If its words are about the member, the request is sent again as the client wrote it, and
that upstream is not asked again for this model for an hour.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from agentspec_usage.extraction.framing import (
    ContentDecoder,
    ExtractionLimits,
    NewDecoder,
    UsageChunkFilter,
    with_include_usage,
)
from agentspec_usage.extraction.request import RequestFacts
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.proxy.heads import (
    MessageError,
    RequestHead,
    ResponseHead,
    tokens,
    values,
)
from agentspec_usage.sidecar.proxy.settings import Upstream

__all__ = ["ChunkRemoval", "UsageAsking", "blames_asking", "chunk_removal", "may_be_refused"]

_REMEMBERED_SECONDS = 3600.0
_MOST_REMEMBERED = 1024
_OUR_WORDS = (b"stream_options", b"include_usage")
_MOST_AT_ONCE = 16 * 1024 * 1024
"""What one read of a compressed stream may expand to: it is for a client that may be slow."""
_ENDLESS = ExtractionLimits(decoded_bytes=2**63)

Decoders = Mapping[str, NewDecoder]


class UsageAsking:
    """Which requests are asked for their usage. Remembers who refused, within bounds."""

    __slots__ = ("_clock", "_refused")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refused: OrderedDict[tuple[str, str], float] = OrderedDict()

    def asking(
        self, upstream: Upstream, facts: RequestFacts | None, head: RequestHead, body: bytes
    ) -> bytes | None:
        """``body`` with the question in it, or None where it is sent as it is."""
        if (
            facts is None
            or not upstream.include_usage
            or not facts.surface.include_usage
            or not facts.streaming
            or facts.asks_usage
            or _codings(head)
            or self._remembers((upstream.prefix, facts.model))
        ):
            return None
        return with_include_usage(body)

    def refused(self, upstream: Upstream, facts: RequestFacts) -> None:
        """The upstream does not know the question."""
        key = (upstream.prefix, facts.model)
        self._refused[key] = self._clock.monotonic() + _REMEMBERED_SECONDS
        self._refused.move_to_end(key)
        if len(self._refused) > _MOST_REMEMBERED:
            self._refused.popitem(last=False)

    def _remembers(self, key: tuple[str, str]) -> bool:
        until = self._refused.get(key)
        if until is None:
            return False
        if until > self._clock.monotonic():
            return True
        del self._refused[key]
        return False


def may_be_refused(head: ResponseHead) -> bool:
    """Whether this answer may be a refusal of the question."""
    return head.status in (400, 422)


def blames_asking(head: ResponseHead, body: bytes, decoders: Decoders) -> bool:
    """Whether the refusal is about the question. One that cannot be read is taken for it: sending
    the request again as it was costs a round trip, and not sending it would break the client.
    """
    if coding := _codings(head):
        decoder = ContentDecoder(coding, decoders)
        body = b"".join(decoder.feed(body))
        if decoder.end() is not None:
            return True
    return any(word in body for word in _OUR_WORDS)


class ChunkRemoval:
    """Takes the answer to the question out of a stream. A compressed stream leaves uncompressed
    (``decodes``): one event less cannot be had otherwise.
    """

    __slots__ = ("_decoder", "_filter", "decodes")

    def __init__(self, coding: str, decoders: Decoders) -> None:
        self.decodes = bool(coding)
        self._decoder = ContentDecoder(coding, decoders, _ENDLESS) if coding else None
        self._filter = UsageChunkFilter()

    def feed(self, data: bytes) -> bytes:
        """What the client gets for ``data``. Raises MessageError where that cannot be known."""
        if self._decoder is not None:
            data = self._decoded(self._decoder, data)
        return self._filter.feed(data)

    def end(self) -> bytes:
        return self._filter.end()

    def _decoded(self, decoder: ContentDecoder, data: bytes) -> bytes:
        pieces: list[bytes] = []
        room = _MOST_AT_ONCE
        for piece in decoder.feed(data):
            pieces.append(piece)
            room -= len(piece)
            if room < 0:
                raise MessageError("the upstream's compressed stream expands without end", 502)
        if decoder.gap is not None:
            raise MessageError("the upstream's compressed stream is damaged", 502)
        return b"".join(pieces)


def chunk_removal(head: ResponseHead, decoders: Decoders) -> ChunkRemoval | None:
    """For the answer to an asked request; None for what is no stream of events, or one that cannot
    be decompressed here.
    """
    media = values(head.lines, b"content-type")
    is_stream = bool(media) and media[0].lower().startswith(b"text/event-stream")
    if not is_stream or not 200 <= head.status < 300:
        return None
    coding = _codings(head)
    if ContentDecoder(coding, decoders).gap is not None:
        return None
    return ChunkRemoval(coding, decoders)


def _codings(head: RequestHead | ResponseHead) -> str:
    """The content codings but "identity", as a header would list them; "" for none."""
    codings = [
        coding for coding in tokens(head.lines, b"content-encoding") if coding != b"identity"
    ]
    return b", ".join(codings).decode("latin-1")
