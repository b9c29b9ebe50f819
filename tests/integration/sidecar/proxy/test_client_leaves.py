"""A client may go away at any point: told once, and the upstream is let go, or read to its end."""

from __future__ import annotations

import asyncio

import pytest

from agentspec_usage.metering.record import CallStatus
from agentspec_usage.sidecar.calls import EndedBy
from tests.fakes.call_meter import until
from tests.fakes.raw_upstreams import Conversation, raw_upstream
from tests.integration.sidecar.proxy.proxies import (
    chat_request,
    chunk,
    length,
    proxy,
    quick,
    stream_events,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = stream_events(usage=True)


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("events", range(len(EVENTS) + 1))
async def test_a_client_that_leaves_a_stream_is_told_once_and_ends_it(
    events: int, reset: bool
) -> None:
    broken = asyncio.Event()

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD + b"".join(chunk(event) for event in EVENTS[:events]))
        await conversation.the_end()
        broken.set()

    async with raw_upstream(behaviour) as upstream, proxy(upstream.url) as through:
        async with through.client() as client:
            await client.send(chat_request())
            await client.head()
            await client.payload(sum(map(len, EVENTS[:events])))
            if reset:
                client.reset()
            else:
                client.writer.close()
            await asyncio.wait_for(broken.wait(), 10)
        end = await through.meter.the_end()
        assert (end.ended_by, end.status) == (EndedBy.CLIENT, 200)
        assert end.extraction is not None
        if events >= len(EVENTS) - 1:
            assert end.extraction.calls[0].counts.total == 29
        else:
            assert end.extraction.unmetered


async def test_a_client_that_leaves_before_the_answer_is_told_as_a_call_that_was_sent() -> None:
    asked, broken = asyncio.Event(), asyncio.Event()

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        asked.set()
        await conversation.the_end()
        broken.set()

    async with raw_upstream(behaviour) as upstream, proxy(upstream.url) as through:
        async with through.client() as client:
            await client.send(chat_request())
            await asked.wait()
        await asyncio.wait_for(broken.wait(), 10)
        end = await through.meter.the_end()
        assert (end.ended_by, end.sent, end.status) == (EndedBy.CLIENT, True, None)


async def test_a_client_that_leaves_within_its_request_has_made_no_call() -> None:
    async with raw_upstream(lambda _: asyncio.sleep(0)) as upstream, proxy(upstream.url) as through:
        async with through.client() as client:
            await client.send(chat_request()[:-10])
            await until(lambda: through.server.connections == 1)
        await until(lambda: through.server.connections == 0)
        assert through.meter.began == []
        assert upstream.connections == 0


async def test_a_client_that_leaves_within_a_streamed_request_ends_it_upstream() -> None:
    asked = asyncio.Event()
    ended: list[bytes] = []

    async def behaviour(conversation: Conversation) -> None:
        await conversation.head()
        asked.set()
        ended.append(await conversation.the_end())

    async with raw_upstream(behaviour) as upstream, proxy(upstream.url) as through:
        async with through.client() as client:
            head = b"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: 9999\r\n\r\nabc"
            await client.send(head)
            await asyncio.wait_for(asked.wait(), 10)
        assert (await through.meter.the_end()).ended_by is EndedBy.CLIENT
        await until(lambda: bool(ended))


async def test_an_abandoned_stream_is_read_to_its_end_where_that_is_wanted() -> None:
    left = asyncio.Event()

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD + chunk(EVENTS[0]))
        await left.wait()
        await conversation.send(b"".join(chunk(event) for event in EVENTS[1:]) + b"0\r\n\r\n")
        await conversation.the_end()

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url, drain_abandoned_seconds=30.0) as through,
    ):
        async with through.client() as client:
            await client.send(chat_request())
            await client.head()
            await client.payload(len(EVENTS[0]))
        await until(lambda: through.server.connections == 0)
        assert through.meter.ended == []
        left.set()
        end = await through.meter.the_end()
        assert end.ended_by is EndedBy.CLIENT
        assert end.extraction is not None
        [call] = end.extraction.calls
        assert (call.counts.total, call.status) == (29, CallStatus.OK)


async def test_an_abandoned_stream_is_not_read_for_ever() -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD + chunk(EVENTS[0]))
        await conversation.the_end()

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url, drain_abandoned_seconds=0.1) as through,
    ):
        async with through.client() as client:
            await client.send(chat_request())
            await client.head()
        end = await through.meter.the_end()
        assert end.extraction is not None
        assert end.extraction.unmetered


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"POST /v1/chat HTTP/1.1\r\nHo", 408, id="head"),
        pytest.param(chat_request()[:-5], 408, id="held body"),
        pytest.param(chat_request(path="/v1/files")[:-5], 408, id="streamed body"),
    ],
)
async def test_a_client_that_stalls_within_its_request_is_given_up(
    sent: bytes, status: int
) -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.the_end()

    impatient = quick(head=0.2, body=0.2)
    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url, timeouts=impatient) as through,
        through.client() as client,
    ):
        await client.send(sent)
        assert int((await client.rest()).split(b" ")[1]) == status


async def test_a_head_that_comes_in_drops_does_not_get_more_time_with_each() -> None:
    async with (
        raw_upstream(lambda _: asyncio.sleep(0)) as upstream,
        proxy(upstream.url, timeouts=quick(head=0.3)) as through,
        through.client() as client,
    ):
        rest = asyncio.create_task(client.rest())
        await client.send(b"GET / HTTP/1.1\r\n")
        while not rest.done():
            await client.send(b"X: y\r\n")
            await asyncio.wait([rest], timeout=0.05)
        assert rest.result().startswith(b"HTTP/1.1 408 ")


async def test_an_idle_client_is_closed() -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(length(b"{}"))

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url, timeouts=quick(idle=0.2)) as through,
        through.client() as client,
    ):
        await client.send(chat_request())
        assert await client.answer() == (200, b"{}")
        assert await client.rest() == b""


async def test_a_client_that_leaves_its_answer_unread_is_cut_off() -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD)
        while True:
            await conversation.send(chunk(b"x" * 65536))

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url, timeouts=quick(unread=0.2)) as through,
        through.client() as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(chat_request())
        assert (await through.meter.the_end()).ended_by is EndedBy.CLIENT
