"""SIGTERM to the sidecar as it is run: a stream under way reaches its client, and counts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from tests.fakes.raw_upstreams import Conversation, raw_upstream
from tests.integration.sidecar.control.programs import sidecar_program
from tests.integration.sidecar.proxy.proxies import CHAT_BODY, chunk, stream_events

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = stream_events(usage=True)


async def refuses_connections(url: str) -> None:
    """Wait until nobody listens at ``url``."""
    address = httpx.URL(url)
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection(address.host, address.port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.01)


async def test_a_stream_under_way_is_finished_and_counted(tmp_path: Path) -> None:
    stopping = asyncio.Event()

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD + chunk(EVENTS[0]))
        await stopping.wait()
        await conversation.send(b"".join(chunk(event) for event in EVENTS[1:]) + b"0\r\n\r\n")

    async with raw_upstream(behaviour) as upstream, httpx.AsyncClient(trust_env=False) as client:
        with sidecar_program(tmp_path, upstream.url) as program:
            url = f"{program.openai}/chat/completions"
            async with client.stream("POST", url, content=CHAT_BODY) as answer:
                body = answer.aiter_bytes()
                received = await anext(body)
                ended = asyncio.create_task(asyncio.to_thread(program.terminate))
                await refuses_connections(program.openai)
                stopping.set()
                async for piece in body:
                    received += piece
            assert received == b"".join(EVENTS)
            assert await ended == 0
            [line] = program.token_lines()
            assert (line["input_tokens"], line["output_tokens"]) == (19, 10)
