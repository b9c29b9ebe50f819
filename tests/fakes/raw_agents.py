"""Agents as bare sockets, which answer with bytes that no HTTP library would send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.scrape.bearer import TokenFile
from agentspec_usage.scrape.http import HttpScraper, ScrapeSettings
from agentspec_usage.scrape.outcome import Outcome, Target
from agentspec_usage.wire.usage import decode_usage

__all__ = ["BODY", "CANARY", "Connection", "agent", "answering", "ok", "scrape", "scraper"]

CANARY = "sk-canary-0123456789"
BODY = json.dumps(
    {
        "windowStartedAt": "2026-11-01T08:00:00Z",
        "models": [
            {
                "modelId": "openai/gpt-4o",
                "promptTokens": 10,
                "completionTokens": 5,
                "totalTokens": 15,
                "callCount": 1,
            }
        ],
        "totalTokens": 15,
        "totalCalls": 1,
    }
).encode()

Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ok(body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def scraper(deadline: float = 5.0, token: TokenFile | None = None) -> HttpScraper:
    settings = ScrapeSettings(timeout=deadline, allow_loopback=True)
    return HttpScraper(settings, decode_usage, SystemClock(), token)


@asynccontextmanager
async def agent(connection: Connection, host: str = "127.0.0.1") -> AsyncIterator[Target]:
    """A server that handles each connection with ``connection`` until the block ends."""
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await connection(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, host, 0)
    try:
        yield Target(host, server.sockets[0].getsockname()[1], "/agentspec/usage")
    finally:
        server.close()
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await server.wait_closed()


def answering(*parts: bytes, pause: float = 0.0) -> Connection:
    """Reads the request, sends ``parts`` with a pause after each, closes."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)

    return connection


async def scrape(connection: Connection, deadline: float = 5.0) -> Outcome:
    async with agent(connection) as target:
        return await scraper(deadline).scrape(target)
