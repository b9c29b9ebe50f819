"""Whoever is slow slows the other side, and nothing piles up in between."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc

import pytest

from tests.fakes.raw_upstreams import Conversation, raw_upstream
from tests.integration.sidecar.proxy.proxies import RunningProxy, proxy

MIB = 1024 * 1024
PIECE = bytes(range(256)) * 256
PIECES = 100 * MIB // len(PIECE)
SIZE = PIECES * len(PIECE)
MOST = 8 * MIB
"""Far above what the sockets' and transports' buffers hold, far below what passes."""


async def written(conversation_or_client: asyncio.StreamWriter) -> int:
    """How much of ``PIECES`` can be written until writing stands still."""
    done = 0
    while done < PIECES:
        conversation_or_client.write(PIECE)
        try:
            await asyncio.wait_for(conversation_or_client.drain(), 0.5)
        except TimeoutError:
            break
        done += 1
    return done * len(PIECE)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_an_answer_of_100_mb_passes_in_constant_memory(chunked: bool) -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"
        await conversation.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        for _ in range(PIECES):
            await conversation.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
        await conversation.send(b"0\r\n\r\n" if chunked else b"")

    async def received(through: RunningProxy) -> str:
        hashed = hashlib.sha256()
        async with through.client() as client:
            await client.send(b"GET /v1/files/x/content HTTP/1.1\r\nHost: h\r\n\r\n")
            await client.head()
            left = SIZE
            while left:
                if chunked:
                    size = int(await client.reader.readline(), 16)
                    data = await client.reader.readexactly(size)
                    await client.reader.readline()
                else:
                    data = await client.reader.read(MIB)
                hashed.update(data)
                left -= len(data)
        return hashed.hexdigest()

    expected = hashlib.sha256()
    for _ in range(PIECES):
        expected.update(PIECE)
    async with raw_upstream(behaviour) as upstream, proxy(upstream.url) as through:
        tracemalloc.start()
        try:
            assert await received(through) == expected.hexdigest()
            assert tracemalloc.get_traced_memory()[1] < MOST
        finally:
            tracemalloc.stop()
        assert (await through.meter.the_end()).response_bytes == SIZE


async def test_a_client_that_does_not_read_stops_its_upstream() -> None:
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        stopped.set_result(await written(conversation.writer))

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(b"GET /v1/files/x/content HTTP/1.1\r\nHost: h\r\n\r\n")
        assert await stopped < SIZE // 2


async def test_an_upstream_that_does_not_read_stops_its_client() -> None:
    async def behaviour(conversation: Conversation) -> None:
        conversation.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        head = b"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % SIZE
        await client.send(head)
        assert await written(client.writer) < SIZE // 2


async def test_a_request_of_100_mb_arrives_whole() -> None:
    hashes: list[str] = []

    async def behaviour(conversation: Conversation) -> None:
        await conversation.head()
        hashed, left = hashlib.sha256(), SIZE
        while left:
            data = await conversation.reader.read(MIB)
            hashed.update(data)
            left -= len(data)
        hashes.append(hashed.hexdigest())
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    expected = hashlib.sha256()
    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        head = b"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % SIZE
        await client.send(head)
        for _ in range(PIECES):
            expected.update(PIECE)
            await client.send(PIECE)
        assert await client.answer() == (200, b"")
        assert hashes == [expected.hexdigest()]
