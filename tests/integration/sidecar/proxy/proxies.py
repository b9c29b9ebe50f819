"""A proxy on loopback, and a client that says exactly the bytes that a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.sidecar.proxy import ProxyServer, ProxySettings, ProxyTimeouts, Upstream
from tests.fakes.call_meter import RecordingMeter

__all__ = [
    "CHAT_BODY",
    "CHAT_DOCUMENT",
    "Client",
    "RunningProxy",
    "chat_request",
    "chunk",
    "length",
    "proxy",
    "quick",
    "stream_events",
]

CHAT = "/v1/chat/completions"
CHAT_BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
CHAT_DOCUMENT: dict[str, Any] = {
    "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "object": "chat.completion",
    "created": 1741569952,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello!"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
}


def quick(**timeouts: float) -> ProxyTimeouts:
    """Patience for tests: what is not named is the default."""
    return replace(ProxyTimeouts(), **timeouts)


def length(body: bytes, status: str = "200 OK", lines: str = "") -> bytes:
    """An answer with a Content-Length."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{lines}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream_events(*, usage: bool) -> list[bytes]:
    """A chat stream as OpenAI publishes it, one event each."""
    base = {"id": "chatcmpl-B9MB", "object": "chat.completion.chunk", "model": "gpt-4o-2024-08-06"}
    deltas = [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}]
    documents: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    documents.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage:
        documents.append({**base, "choices": [], "usage": CHAT_DOCUMENT["usage"]})
    return [b"data: %b\n\n" % json.dumps(d).encode() for d in documents] + [b"data: [DONE]\n\n"]


def chat_request(body: bytes = CHAT_BODY, lines: str = "", path: str = CHAT) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{lines}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Client:
    """One connection to a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        """The next answer's head, with its empty line."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self, *, method: str = "POST") -> tuple[int, bytes]:
        """The next answer: its status, and its body without framing."""
        head = await self.head()
        status = int(head.split(b" ", 2)[1])
        lines = head.lower()
        if method == "HEAD" or status in (204, 304):
            return status, b""
        if b"\r\ntransfer-encoding: chunked" in lines:
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readline()
            while await self.reader.readline() != b"\r\n":
                pass
            return status, body
        for line in lines.split(b"\r\n"):
            if line.startswith(b"content-length: "):
                return status, await self.reader.readexactly(int(line[16:]))
        return status, await self.reader.read()

    async def payload(self, size: int) -> bytes:
        """The next ``size`` bytes of a chunked body, which end with a chunk."""
        body = b""
        while len(body) < size:
            length = int(await self.reader.readline(), 16)
            body += await self.reader.readexactly(length)
            await self.reader.readline()
        assert len(body) == size
        return body

    async def rest(self) -> bytes:
        """What comes until the connection ends."""
        body = b""
        with suppress(ConnectionError):
            while data := await self.reader.read(2**16):
                body += data
        return body

    def reset(self) -> None:
        self.writer.transport.abort()


@dataclass
class RunningProxy:
    """A proxy that serves at ``port``."""

    server: ProxyServer
    meter: RecordingMeter
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()

    async def ask(self, request: bytes, *, method: str = "POST") -> tuple[int, bytes]:
        """One request on a connection of its own."""
        async with self.client() as client:
            await client.send(request)
            return await client.answer(method=method)


@asynccontextmanager
async def proxy(
    *upstreams: Upstream | str, meter: RecordingMeter | None = None, **settings: Any
) -> AsyncIterator[RunningProxy]:
    """A proxy for the block; a url alone is an OpenAI that takes every path."""
    meter = meter or RecordingMeter()
    known = [u if isinstance(u, Upstream) else Upstream("openai", u) for u in upstreams]
    numbers = count(1)
    server = ProxyServer(
        ProxySettings(known, **settings), meter, SystemClock(), lambda: f"request-{next(numbers)}"
    )
    port = await server.start("127.0.0.1", 0)
    try:
        async with asyncio.timeout(60):
            yield RunningProxy(server, meter, port)
    finally:
        await server.stop(0)
    assert len(meter.began) == len(meter.ended), "a request began and never ended"
    assert len({request.key for request, _ in meter.ended}) == len(meter.ended)
