"""An answer that goes on: server-sent events to one listener.

It ends when the listener leaves, is dropped for being slow, takes nothing for too long, or the
program ends. A comment now and then keeps the connection through whatever stands between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.types import Message, Receive, Scope, Send

from agentspec_usage.sidecar.audit.feed import AuditFeed, Listener

__all__ = ["EventStream"]

_HEAD: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ],
}
_HEARTBEAT = b": nothing new\n\n"
_DROPPED = b"event: dropped\ndata: {}\n\n"


class EventStream:
    """The ASGI answer for ``listener``: ``first``, then what the feed tells."""

    def __init__(
        self,
        feed: AuditFeed,
        listener: Listener,
        first: Iterable[bytes],
        heartbeat_seconds: float,
        stall_seconds: float,
    ) -> None:
        self._feed = feed
        self._listener = listener
        self._first = first
        self._heartbeat_seconds = heartbeat_seconds
        self._stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.create_task(self._end_when_left(receive))
        try:
            await self._send(send, _HEAD)
            # An empty piece, so that the head does not wait for the first event.
            await self._send(send, _piece(b""))
            for message in self._first:
                await self._send(send, _piece(message))
                # Sending need not wait: without this a full ring would hold up the proxy.
                await asyncio.sleep(0)
            async for news in self._listener.messages(self._heartbeat_seconds):
                await self._send(send, _piece(_HEARTBEAT if news is None else news))
            if self._listener.dropped:
                await self._send(send, _piece(_DROPPED))
            await self._send(send, {"type": "http.response.body", "body": b""})
        except TimeoutError:
            # It takes nothing: the server closes what is left without an end.
            return
        finally:
            self._feed.leave(self._listener)
            leaving.cancel()

    async def _send(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(self._stall_seconds):
            await send(message)

    async def _end_when_left(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._listener.end()


def _piece(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}
