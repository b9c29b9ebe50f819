"""The calls on a WebSocket, read from copies of the bytes of both directions."""

from __future__ import annotations

from dataclasses import replace

from agentspec_usage.extraction.framing import (
    Event,
    Gap,
    Item,
    MessageInflater,
    WebSocketFraming,
    agreed_deflate,
)
from agentspec_usage.extraction.request import RequestFacts
from agentspec_usage.extraction.values import Extraction, ReadCall
from agentspec_usage.extraction.websocket import SocketReader

__all__ = ["SocketCopy"]


class SocketCopy:
    """``extensions``: what the upstream agreed on in Sec-WebSocket-Extensions."""

    __slots__ = ("_from_client", "_from_server", "_missed", "_reader")

    def __init__(self, facts: RequestFacts, extensions: str) -> None:
        deflate = agreed_deflate(extensions)
        server = MessageInflater(deflate.server_keeps_context) if deflate else None
        client = MessageInflater(deflate.client_keeps_context) if deflate else None
        self._from_server = WebSocketFraming(inflater=server)
        self._from_client = WebSocketFraming(inflater=client)
        self._reader = SocketReader(facts)
        self._missed = ""

    def from_client(self, data: bytes) -> list[ReadCall]:
        """The calls that completed with these bytes. What of the client cannot be read is let
        pass: usage is what the server says.
        """
        calls: list[ReadCall] = []
        for item in self._from_client.feed(data):
            if isinstance(item, Event):
                calls += self._reader.from_client(item.data)
        return calls

    def from_server(self, data: bytes) -> list[ReadCall]:
        """The calls that completed with these bytes."""
        calls: list[ReadCall] = []
        for item in self._from_server.feed(data):
            if isinstance(item, Event):
                calls += self._reader.from_server(item.data)
            else:
                self._miss(item)
        return calls

    def end(self, *, aborted: bool) -> Extraction:
        """What is left, once."""
        left = self._reader.end(aborted=aborted)
        if self._missed and not left.unmetered:
            return replace(left, unmetered=True, reason=f"a message was not read: {self._missed}")
        return left

    def _miss(self, item: Item) -> None:
        self._missed = item.reason if isinstance(item, Gap) else "overflow"
