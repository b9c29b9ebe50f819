"""One client's connection: its requests one after another, each carried by an exchange.

Pipelined requests wait unread until the one before is answered. A request that is answered before
it is whole (a refusal, an upstream that judges by the head) is read to its end for a moment before
the connection is closed, or the client would lose the answer to a reset.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from agentspec_usage.sidecar.calls import Refusal
from agentspec_usage.sidecar.proxy.client_side import RawSide
from agentspec_usage.sidecar.proxy.exchange import Exchange
from agentspec_usage.sidecar.proxy.forwarding import is_upgrade, keeps_open
from agentspec_usage.sidecar.proxy.heads import MessageError, RequestHead, tokens
from agentspec_usage.sidecar.proxy.messages import End, RequestReader
from agentspec_usage.sidecar.proxy.parts import ProxyParts
from agentspec_usage.sidecar.proxy.refusals import (
    BUSY,
    LATE_BODY,
    LATE_HEAD,
    UNKNOWN_PATH,
    own_refusal,
    refusal_bytes,
)

__all__ = ["ClientConnection"]

_NO_LINGER = struct.pack("ii", 1, 0)
"""As SO_LINGER: closing sends a reset, for an end that is not to be taken for a clean one."""
_MOST_UNREAD = 64 * 1024
"""Bytes behind a request that is under way; more of them, and the client is not read."""


class ClientConnection(asyncio.Protocol):
    """Give it to a server of asyncio. Also what exchanges and tunnels send their answers to."""

    def __init__(self, parts: ProxyParts) -> None:
        self._parts = parts
        self._reader = RequestReader(parts.settings.limits.head)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._tunnel: RawSide | None = None
        self._out: list[bytes] = []
        self._whole = True
        self._answered = False
        self._advancing = False
        self._closing = False
        self._close_after = False
        self._held_back = False
        self._waited_since = 0.0
        self._full_since: float | None = None

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._waited_since = self._now()
        clients = self._parts.clients
        clients.add(self)
        if len(clients) > self._parts.settings.limits.connections:
            self._refuse(BUSY)

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.from_client(data)
            return
        if not (self._whole and self._reader.pending):
            # A head that comes in drops does not get more time with each.
            self._waited_since = self._now()
        self._reader.receive(data)
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._parts.left(self)
        exchange, self._exchange = self._exchange, None
        tunnel, self._tunnel = self._tunnel, None
        if exchange is not None:
            exchange.client_gone()
        if tunnel is not None:
            tunnel.client_gone()

    def pause_writing(self) -> None:
        self._full_since = self._now()
        self._tell_full(full=True)

    def resume_writing(self) -> None:
        self._full_since = None
        self._tell_full(full=False)

    # What exchanges and tunnels ask.

    def send(self, data: bytes) -> None:
        """Collected until ``flush``, so that what arrived together leaves together."""
        self._out.append(data)

    def flush(self) -> None:
        if self._out and self._transport is not None:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self._transport.write(data)

    def hold_reading(self) -> None:
        self._held_back = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on_reading(self) -> None:
        self._held_back = False
        self._waited_since = self._now()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def answered(self, *, close: bool) -> None:
        """The answer was sent whole. ``close``: the client was told that no other follows."""
        self.flush()
        self._exchange = None
        self._answered = True
        self._close_after = self._close_after or close
        self._waited_since = self._now()
        if self._whole:
            self._next()
        else:
            self.go_on_reading()
        if not self._advancing:
            self._advance()

    def broken_off(self, *, clean_end_misleads: bool) -> None:
        """The answer stays incomplete; see ``ClientSide``."""
        self._exchange = None
        self.flush()
        self._close(reset=clean_end_misleads)

    def become_tunnel(self, tunnel: RawSide) -> bytes:
        """Bytes are handed over as they come; returns those that came already."""
        self._exchange, self._tunnel = None, tunnel
        return self._reader.unread()

    def tunnel_over(self) -> None:
        self._tunnel = None
        self._close(reset=False)

    @property
    def closes_after(self) -> bool:
        """Whether the answer under way is this connection's last."""
        return self._close_after or self._parts.stopping

    # What the server asks.

    def check(self, now: float) -> None:
        timeouts = self._parts.settings.timeouts
        waited = now - self._waited_since
        if self._full_since is not None and now - self._full_since > timeouts.unread:
            self._close(reset=True)
        elif self._tunnel is not None:
            self._tunnel.check(now)
        elif self._exchange is not None:
            self._exchange.check(now)
            if not self._whole and not self._held_back and waited > timeouts.body:
                self._refuse(LATE_BODY)
        elif not self._whole:
            if waited > timeouts.linger:
                self._close(reset=False)
        elif self._reader.pending:
            if waited > timeouts.head:
                self._refuse(LATE_HEAD)
        elif waited > timeouts.idle:
            self._close(reset=False)

    def stop(self) -> None:
        if self._exchange is None and self._tunnel is None:
            self._close(reset=False)

    def cut(self) -> None:
        if self._exchange is not None:
            self._exchange.cut()
        elif self._tunnel is not None:
            self._tunnel.cut()
        self._close(reset=self._closing)

    # The requests.

    def _advance(self) -> None:
        self._advancing = True
        try:
            while not self._closing and not (self._whole and self._exchange is not None):
                event = self._reader.next_event()
                if event is None:
                    break
                if isinstance(event, RequestHead):
                    self._begin(event)
                elif isinstance(event, End):
                    self._end(event)
                elif self._exchange is not None:
                    self._exchange.request_data(event)
                if self._tunnel is not None:
                    break
        except MessageError as refused:
            self._refuse(own_refusal(refused.status, "invalid_request", refused.message))
        finally:
            self._advancing = False
        self.flush()
        if self._exchange is not None and self._reader.pending > _MOST_UNREAD:
            self.hold_reading()

    def _begin(self, head: RequestHead) -> None:
        self._whole = False
        self._close_after = not keeps_open(head)
        destination = self._parts.routes.find(head.target)
        if head.method == b"CONNECT":
            raise MessageError("this is no forward proxy", 405)
        if destination is None:
            self._answer(head, UNKNOWN_PATH)
            return
        expected = tokens(head.lines, b"expect")
        if expected:
            if expected != [b"100-continue"]:
                raise MessageError("the only expectation is 100-continue", 417)
            # The body is wanted here, whatever the upstream says: usage is asked for within it.
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._exchange = Exchange(self._parts, self, head, destination, upgrade=is_upgrade(head))
        self._exchange.start()

    def _end(self, end: End) -> None:
        self._whole = True
        if self._exchange is not None:
            self._exchange.request_end(end)
        else:
            self._next()

    def _next(self) -> None:
        """The request is whole and answered."""
        self._answered = False
        if self.closes_after:
            self._close(reset=False)
        elif self._held_back:
            self.go_on_reading()

    def _answer(self, head: RequestHead, why: Refusal) -> None:
        head_only = head.method == b"HEAD"
        self.send(refusal_bytes(why, close=self.closes_after, head_only=head_only))
        self.answered(close=self.closes_after)

    def _refuse(self, why: Refusal) -> None:
        """The client breaks the protocol or its time: told if nothing else was, and closed."""
        exchange, self._exchange = self._exchange, None
        begun = exchange.answering if exchange is not None else self._answered
        if not begun:
            self.send(refusal_bytes(why, close=True))
        if exchange is not None:
            exchange.client_gone()
        self.flush()
        self._close(reset=False)

    def _close(self, *, reset: bool) -> None:
        self._closing = True
        if self._transport is None:
            return
        if reset:
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()
        else:
            self._transport.close()

    def _tell_full(self, *, full: bool) -> None:
        if self._exchange is not None:
            self._exchange.client_full(full)
        elif self._tunnel is not None:
            self._tunnel.client_full(full)

    def _now(self) -> float:
        return self._parts.metering.clock.monotonic()
