"""One WebSocket of a provider: many calls on one connection, each told when it is over.

A call without usage that is over, or that was not when the connection broke, is an unmetered one.
"""

from __future__ import annotations

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.dialects.sessions import (
    EndedCall,
    GeminiSession,
    OpenAISession,
    Session,
)
from agentspec_usage.extraction.framing import read_json
from agentspec_usage.extraction.read_calls import CallsRead, read_calls
from agentspec_usage.extraction.request import RequestFacts
from agentspec_usage.extraction.unknown_fields import MAX_UNKNOWN_FIELDS
from agentspec_usage.extraction.values import Extraction, ReadCall
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.metering.series import SeriesKey

__all__ = ["SocketReader"]

_UNMETERED = TokenCounts(calls=1, unmetered_calls=1)


class SocketReader:
    """Reads copies of the messages of one connection, each whole; text and binary ones alike."""

    def __init__(self, request: RequestFacts) -> None:
        self._request = request
        is_gemini = request.surface.name.startswith("gemini.")
        self._session: Session = GeminiSession() if is_gemini else OpenAISession()
        self._bytes = 0
        self._mismatches = 0
        self._unknown: dict[str, None] = {}
        self._missed = False

    def from_client(self, message: bytes | str) -> tuple[ReadCall, ...]:
        """What the client said: it may name the model."""
        said = _as_bytes(message)
        if b'"setup"' in said:
            try:
                self._session.asked(read_json(said))
            except WireError:
                # The provider will not understand it either.
                return ()
        return ()

    def from_server(self, message: bytes | str) -> tuple[ReadCall, ...]:
        """The calls that are over with this message."""
        said = _as_bytes(message)
        self._bytes += len(said)
        if not self._session.concerns(said):
            return ()
        try:
            document = read_json(said)
        except WireError:
            self._missed = True
            return ()
        return self._calls(self._session.told(document))

    def end(self, *, aborted: bool = False) -> Extraction:
        """The connection is over: the calls that were not, and what was odd. To be called once."""
        calls = self._calls(self._session.over())
        return Extraction(
            calls=calls,
            unmetered=self._missed,
            reason="unreadable: a message is no JSON" if self._missed else "",
            mismatches=self._mismatches,
            unknown_fields=tuple(self._unknown)[:MAX_UNKNOWN_FIELDS],
            response_bytes=self._bytes,
        )

    def _calls(self, ended: list[EndedCall]) -> tuple[ReadCall, ...]:
        return tuple(call for one in ended for call in self._read(one))

    def _read(self, ended: EndedCall) -> tuple[ReadCall, ...]:
        reading = ended.reading
        read: CallsRead = read_calls(
            self._request, reading, ended.dialect, operation=ended.operation
        )
        self._mismatches += read.mismatches
        self._unknown.update(dict.fromkeys(read.unknown_fields))
        if read.calls:
            return read.calls
        surface = self._request.surface
        key = SeriesKey(
            self._request.provider,
            reading.model or self._request.model,
            ended.operation or surface.operation,
        )
        response_id = surface.id_of(reading.response_id)
        return (ReadCall(key, _UNMETERED, CallStatus.UNMETERED, response_id),)


def _as_bytes(message: bytes | str) -> bytes:
    return message.encode(errors="replace") if isinstance(message, str) else message
