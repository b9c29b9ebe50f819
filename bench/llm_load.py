"""The clients of the sidecar's benchmark: chats on kept connections, timed to their bytes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Timing", "chat", "run", "stream"]

_TAIL = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one request, in seconds: until the first bytes came, until the last; bytes received."""

    first: float
    total: float
    size: int


def _request(path: str, document: dict[str, object], key: str) -> bytes:
    body = json.dumps(document, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
        "Accept-Encoding: identity\r\nUser-Agent: bench\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def chat(key: str) -> bytes:
    """A request for one JSON answer."""
    messages = [{"role": "user", "content": "word " * 200}]
    return _request("/v1/chat/completions", {"model": "gpt-4o", "messages": messages}, key)


def stream(key: str, events: int) -> bytes:
    """A request for ``events`` events, with their usage."""
    document: dict[str, object] = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "word " * 200}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": events,
    }
    return _request("/v1/chat/completions", document, key)


class _Client(asyncio.Protocol):
    """One connection; ``ask`` waits for one answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[Timing] | None = None
        self._begun = self._first = 0.0
        self._size = 0
        self._head = b""
        self._left: int | None = None
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionError("closed within an answer"))

    async def ask(self, request: bytes) -> Timing:
        self._done = asyncio.get_running_loop().create_future()
        self._first, self._size, self._head, self._left, self._tail = 0.0, 0, b"", None, b""
        assert self._transport is not None
        self._begun = time.perf_counter()
        self._transport.write(request)
        return await self._done

    def close(self) -> None:
        assert self._transport is not None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._first = self._first or now
        self._size += len(data)
        if self._left is None and not self._tail:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"answered {self._head[:400]!r}")
            _, length, rest = head.lower().partition(b"content-length: ")
            if length:
                self._left = int(rest.partition(b"\r\n")[0])
            data = body
        if self._left is not None:
            self._left -= len(data)
            over = not self._left
        else:
            self._tail = (self._tail + data)[-len(_TAIL) :] or b"\0"
            over = self._tail == _TAIL
        if over and self._done is not None:
            self._done.set_result(Timing(self._first - self._begun, now - self._begun, self._size))


async def _client(port: int) -> _Client:
    _, client = await asyncio.get_running_loop().create_connection(_Client, "127.0.0.1", port)
    return client


async def run(port: int, request: bytes, requests: int, clients: int) -> Sequence[Timing]:
    """``requests`` in all, by ``clients`` at once, each on a connection of its own."""

    async def one(client: _Client) -> list[Timing]:
        timings = [await client.ask(request) for _ in range(max(1, requests // clients))]
        client.close()
        return timings

    made = [await _client(port) for _ in range(clients)]
    return [timing for timings in await asyncio.gather(*map(one, made)) for timing in timings]
