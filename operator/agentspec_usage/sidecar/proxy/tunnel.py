"""A WebSocket through the proxy: the bytes of both directions, passed on as they come.

Frames are not ours to judge: the ends agreed on what they mean. A copy is read for the calls on the
connection, each of which is told when it completes, for such a connection can last for hours.
"""

from __future__ import annotations

from agentspec_usage.extraction.values import Extraction, ReadCall
from agentspec_usage.sidecar.calls import EndedBy
from agentspec_usage.sidecar.proxy.client_side import ClientSide
from agentspec_usage.sidecar.proxy.heads import ResponseHead, values
from agentspec_usage.sidecar.proxy.parts import ProxyParts
from agentspec_usage.sidecar.proxy.socket_copy import SocketCopy
from agentspec_usage.sidecar.proxy.upstream_connection import UpstreamConnection
from agentspec_usage.sidecar.proxy.watch import Watch

__all__ = ["Tunnel"]

_FAULT = Extraction(unmetered=True, reason="a fault of the reader")


class Tunnel:
    """Made when the upstream switched protocols; ``head`` is its answer."""

    __slots__ = ("_client", "_copy", "_done", "_heard", "_parts", "_upstream", "_watch")

    def __init__(
        self,
        parts: ProxyParts,
        watch: Watch,
        client: ClientSide,
        upstream: UpstreamConnection,
        head: ResponseHead,
    ) -> None:
        self._parts = parts
        self._watch = watch
        self._client = client
        self._upstream = upstream
        self._done = False
        self._heard = 0.0
        watch.switched(head)
        self._copy: SocketCopy | None = None
        if watch.facts is not None:
            agreed = b",".join(values(head.lines, b"sec-websocket-extensions")).decode("latin-1")
            self._copy = parts.metering.shield.run(SocketCopy, None, watch.facts, agreed)

    def start(self) -> None:
        """Take over both connections, with what they have received behind the switch."""
        from_client = self._client.become_tunnel(self)
        from_upstream = self._upstream.become_raw(self)
        self._client.go_on_reading()
        if from_upstream:
            self.from_upstream(from_upstream)
        if from_client:
            self.from_client(from_client)
        self._client.flush()

    def from_client(self, data: bytes) -> None:
        self._heard = self._parts.metering.clock.monotonic()
        self._upstream.send(data)
        self._watch.request_bytes += len(data)
        if self._copy is not None:
            read = self._parts.metering.shield.run(self._copy.from_client, None, data)
            self._told(read)

    def from_upstream(self, data: bytes) -> None:
        self._heard = self._parts.metering.clock.monotonic()
        self._client.send(data)
        self._client.flush()
        self._watch.saw(data)
        if self._copy is not None:
            read = self._parts.metering.shield.run(self._copy.from_server, None, data)
            self._told(read)

    def client_gone(self) -> None:
        self._over(EndedBy.CLIENT)

    def upstream_gone(self) -> None:
        self._over(EndedBy.UPSTREAM)

    def client_full(self, full: bool) -> None:
        if full:
            self._upstream.hold_reading()
        else:
            self._upstream.go_on_reading()

    def upstream_full(self, full: bool) -> None:
        if full:
            self._client.hold_reading()
        else:
            self._client.go_on_reading()

    def check(self, now: float) -> None:
        if now - self._heard > self._parts.settings.timeouts.tunnel_silence:
            self._over(EndedBy.TIMEOUT)

    def cut(self) -> None:
        self._over(EndedBy.SHUTDOWN)

    def _told(self, read: list[ReadCall] | None) -> None:
        """None: the reader failed, and nothing more is read here."""
        if read is None:
            self._copy = None
        elif read:
            self._watch.read(read)

    def _over(self, ended_by: EndedBy) -> None:
        if self._done:
            return
        self._done = True
        self._client.tunnel_over()
        self._upstream.close()
        extraction = None
        if self._watch.facts is not None:
            extraction = _FAULT if self._copy is None else self._ended(self._copy, ended_by)
        self._watch.end(ended_by, whole=True, extraction=extraction)

    def _ended(self, copy: SocketCopy, ended_by: EndedBy) -> Extraction:
        aborted = ended_by is not EndedBy.UPSTREAM
        return self._parts.metering.shield.run(_end_of, _FAULT, copy, aborted)


def _end_of(copy: SocketCopy, aborted: bool) -> Extraction:
    return copy.end(aborted=aborted)
