"""One connection to an upstream: carries one exchange at a time, then waits in the pool.

The events of its bytes go to whoever it carries. It judges whether it can be used again: an answer
that was not read to its end, unasked bytes, or an upstream that says ``close`` end it.
"""

from __future__ import annotations

import asyncio
import select
from typing import Protocol

from agentspec_usage.sidecar.proxy.forwarding import keeps_open
from agentspec_usage.sidecar.proxy.heads import MessageError, ResponseHead
from agentspec_usage.sidecar.proxy.messages import End, ResponseReader
from agentspec_usage.sidecar.proxy.routing import Origin

__all__ = ["RawUpstream", "UpstreamConnection", "UpstreamSide"]


class UpstreamSide(Protocol):
    """Who is carried: hears what comes from the upstream."""

    def answer_head(self, head: ResponseHead) -> None: ...

    def answer_data(self, data: bytes) -> None: ...

    def answer_end(self, end: End) -> None: ...

    def upstream_garbled(self) -> None:
        """What came is no answer."""
        ...

    def upstream_gone(self) -> None:
        """The connection ended within the exchange."""
        ...

    def upstream_full(self, full: bool) -> None:
        """Whether the upstream takes no more for now."""
        ...

    def upstream_said(self) -> None:
        """All that arrived together was handed over."""
        ...


class RawUpstream(Protocol):
    """Who hears the bytes of a connection that became a tunnel."""

    def from_upstream(self, data: bytes) -> None: ...

    def upstream_gone(self) -> None: ...

    def upstream_full(self, full: bool) -> None: ...


class UpstreamConnection(asyncio.Protocol):
    """``reused``: it has carried an exchange before. ``silent``: nothing came in this one."""

    def __init__(self, origin: Origin, max_head: int) -> None:
        self.origin = origin
        self.reused = False
        self.silent = True
        self.idle_since = 0.0
        self._reader = ResponseReader(max_head)
        self._transport: asyncio.Transport | None = None
        self._carried: UpstreamSide | None = None
        self._keeps_open = True
        self._raw: RawUpstream | None = None
        self._gone = False

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.silent = False
        carried = self._carried
        if self._raw is not None:
            self._raw.from_upstream(data)
        elif carried is not None:
            self._reader.receive(data)
            self._read(carried)
            carried.upstream_said()
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        raw, self._raw = self._raw, None
        carried, self._carried = self._carried, None
        if raw is not None:
            raw.upstream_gone()
        elif carried is None:
            return
        elif exc is None and self._reader.closed():
            carried.answer_end(End())
            carried.upstream_said()
        else:
            carried.upstream_gone()

    def pause_writing(self) -> None:
        listener = self._raw or self._carried
        if listener is not None:
            listener.upstream_full(True)

    def resume_writing(self) -> None:
        listener = self._raw or self._carried
        if listener is not None:
            listener.upstream_full(False)

    # What an exchange asks.

    def carry(self, side: UpstreamSide, method: bytes) -> None:
        """From now on what comes is for ``side``, whose request is a ``method``."""
        self._carried = side
        self.silent = True
        self._keeps_open = False
        self._reader.expect(method)

    def send(self, data: bytes) -> None:
        if self._transport is not None and data:
            self._transport.write(data)

    def hold_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def become_raw(self, side: RawUpstream) -> bytes:
        """Bytes are handed over as they come; returns those that came already."""
        self._raw, self._carried = side, None
        return self._reader.unread()

    def let_go(self) -> bool:
        """The exchange is over: whether the connection can carry another one."""
        self._carried = None
        self.reused = True
        return self._keeps_open and not self._gone and not self._reader.pending

    def abort(self) -> None:
        """End it at once; whom it carried hears nothing more."""
        self._carried = self._raw = None
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """End it once what was written is sent."""
        self._carried = self._raw = None
        if self._transport is not None:
            self._transport.close()

    def is_alive(self) -> bool:
        """For an idle connection: nothing has come, its end included. The event loop may not have
        heard of that yet, and a request that is sent into a closed connection cannot be repeated
        unless it does no harm twice; so the kernel is asked.
        """
        if self._gone or self._transport is None or self._transport.is_closing():
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def _read(self, carried: UpstreamSide) -> None:
        try:
            while self._carried is carried:
                event = self._reader.next_event()
                if event is None:
                    return
                if isinstance(event, bytes):
                    carried.answer_data(event)
                elif isinstance(event, End):
                    carried.answer_end(event)
                else:
                    self._keeps_open = keeps_open(event)
                    carried.answer_head(event)
        except MessageError:
            self.abort()
            carried.upstream_garbled()
