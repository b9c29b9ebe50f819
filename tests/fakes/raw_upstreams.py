"""Upstreams as bare sockets, which answer with exactly the bytes that a test wants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

__all__ = ["Conversation", "RawUpstream", "answering", "raw_upstream"]


class Conversation:
    """One connection, from the upstream's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> bytes:
        """The next request's head, with its empty line."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> tuple[bytes, bytes]:
        """The next request: its head, and its body without framing."""
        head = await self.head()
        lines = dict(
            line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
        )
        if lines.get(b"transfer-encoding") == b"chunked":
            return head, await self._chunks()
        return head, await self.reader.readexactly(int(lines.get(b"content-length", b"0")))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Break the connection off at once."""
        self.writer.transport.abort()

    async def the_end(self) -> bytes:
        """What comes until the other side ends the connection."""
        with suppress(ConnectionError):
            return await self.reader.read()
        return b""

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        while await self.reader.readline() != b"\r\n":
            pass
        return body


Behaviour = Callable[[Conversation], Awaitable[None]]


@dataclass
class RawUpstream:
    """``requests``: what was asked, head and body, by behaviours that note it."""

    url: str = ""
    connections: int = 0
    requests: list[tuple[bytes, bytes]] = field(default_factory=list)


@asynccontextmanager
async def raw_upstream(
    behaviour: Behaviour, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawUpstream]:
    """A server that handles each connection with ``behaviour`` until the block ends."""
    upstream = RawUpstream()
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        upstream.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await behaviour(Conversation(reader, writer))
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls, limit=2**20)
    port = server.sockets[0].getsockname()[1]
    upstream.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield upstream
    finally:
        server.close()
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


def answering(answer: bytes, into: list[tuple[bytes, bytes]] | None = None) -> Behaviour:
    """Answers every request on a connection with ``answer``; notes the requests in ``into``."""

    async def behaviour(conversation: Conversation) -> None:
        while True:
            asked = await conversation.request()
            if into is not None:
                into.append(asked)
            await conversation.send(answer)

    return behaviour
