"""The proxy stops: what is under way is finished within the grace, or cut, and told either way."""

from __future__ import annotations

import asyncio

from agentspec_usage.sidecar.calls import EndedBy
from tests.fakes.call_meter import until
from tests.fakes.raw_upstreams import Conversation, answering, raw_upstream
from tests.integration.sidecar.proxy.proxies import (
    chat_request,
    chunk,
    length,
    proxy,
    stream_events,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = stream_events(usage=True)


async def test_a_stream_under_way_is_finished_and_no_other_request_is_taken() -> None:
    stopping = asyncio.Event()

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD + chunk(EVENTS[0]))
        await stopping.wait()
        await conversation.send(b"".join(chunk(event) for event in EVENTS[1:]) + b"0\r\n\r\n")

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
        through.client() as idle,
    ):
        await client.send(chat_request())
        await until(lambda: len(through.meter.began) == 1)
        stop = asyncio.create_task(through.server.stop(30))
        assert await idle.rest() == b""
        stopping.set()
        assert await client.answer() == (200, b"".join(EVENTS))
        assert await client.rest() == b""
        await stop
        assert (await through.meter.the_end()).ended_by is EndedBy.UPSTREAM


async def test_what_does_not_end_within_the_grace_is_cut_and_told() -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD + chunk(EVENTS[0]))
        await conversation.the_end()

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url, drain_abandoned_seconds=30.0) as through,
        through.client() as client,
        through.client() as leaving,
    ):
        for each in (client, leaving):
            await each.send(chat_request())
            await each.head()
            await each.payload(len(EVENTS[0]))
        leaving.reset()
        await until(lambda: through.server.connections == 1)
        await through.server.stop(0.1)
        assert await client.rest() == b""
        assert [end.ended_by for end in through.meter.ends] == [EndedBy.SHUTDOWN] * 2


async def test_a_request_that_waits_for_its_answer_is_told_that_the_proxy_stops() -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.the_end()

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        await client.send(chat_request())
        await until(lambda: len(through.meter.began) == 1)
        await through.server.stop(0.05)
        assert (await client.answer())[0] == 503
        assert (await through.meter.the_end()).ended_by is EndedBy.SHUTDOWN


async def test_stopping_does_not_wait_for_clients_that_do_not_read() -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD)
        while True:
            await conversation.send(chunk(b"x" * 65536))

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(chat_request())
        await until(lambda: len(through.meter.began) == 1)
        await asyncio.wait_for(through.server.stop(0), 10)
        assert (await through.meter.the_end()).ended_by is EndedBy.SHUTDOWN


async def test_the_last_answer_of_a_stopping_proxy_says_that_no_other_follows() -> None:
    go_on = asyncio.Event()

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await go_on.wait()
        await conversation.send(length(b"{}"))

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        await client.send(chat_request())
        await until(lambda: len(through.meter.began) == 1)
        stop = asyncio.create_task(through.server.stop(30))
        await asyncio.sleep(0)
        go_on.set()
        assert b"\r\nConnection: close\r\n" in await client.head()
        await stop


async def test_a_stopped_proxy_takes_no_connections() -> None:
    async with raw_upstream(answering(length(b"{}"))) as upstream, proxy(upstream.url) as through:
        await through.server.stop(0)
        try:
            await through.ask(chat_request())
        except ConnectionError:
            return
        raise AssertionError("a request was taken")
