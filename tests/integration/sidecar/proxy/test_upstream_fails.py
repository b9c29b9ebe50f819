"""Whatever an upstream does, the client learns of it and the meter is told once."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from agentspec_usage.sidecar.calls import EndedBy
from agentspec_usage.sidecar.proxy import Upstream
from tests.fakes.raw_upstreams import Conversation, answering, raw_upstream
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


def kind_of(document: bytes) -> str:
    kind: str = json.loads(document)["error"]["type"]
    return kind


async def test_an_upstream_that_refuses_connections_is_told_and_nothing_counts_as_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with proxy(url) as through:
            status, document = await through.ask(chat_request())
            assert (status, kind_of(document)) == (502, "upstream_unreachable")
            end = await through.meter.the_end()
    assert (end.ended_by, end.sent, end.status) == (EndedBy.UNREACHABLE, False, None)
    assert end.extraction is None


async def test_a_name_that_does_not_resolve_is_an_upstream_that_is_not_reached() -> None:
    async with proxy("http://upstream.invalid") as through:
        status, document = await through.ask(chat_request())
        assert (status, kind_of(document)) == (502, "upstream_unreachable")
        assert not (await through.meter.the_end()).sent


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Ty", id="half a head"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, id="an endless head"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", id="a switch unasked"),
        pytest.param(b"HTTP/1.1 103 Early\r\n\r\n" * 20, id="interim answers without end"),
    ],
)
async def test_an_upstream_that_answers_no_http_is_told_as_a_bad_gateway(answer: bytes) -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(answer)

    async with raw_upstream(behaviour) as upstream, proxy(upstream.url) as through:
        async with through.client() as client:
            await client.send(chat_request())
            status, document = 103, b""
            while status == 103:
                head = await client.head()
                status = int(head.split(b" ")[1])
            document = await client.reader.readuntil(b"}}")
            assert (status, kind_of(document)) == (502, "upstream_error")
        end = await through.meter.the_end()
        assert (end.ended_by, end.sent, end.status) == (EndedBy.UPSTREAM_ABORT, True, None)


async def test_a_reset_before_the_answer_is_told_as_a_bad_gateway() -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        conversation.reset()

    async with raw_upstream(behaviour) as upstream, proxy(upstream.url) as through:
        assert (await through.ask(chat_request()))[0] == 502
        assert (await through.meter.the_end()).ended_by is EndedBy.UPSTREAM_ABORT
        assert upstream.connections == 1, "a call may not be made twice"


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("events", range(len(EVENTS)))
async def test_a_stream_that_breaks_off_breaks_off_at_the_client_too(
    events: int, reset: bool
) -> None:
    seen = asyncio.Event()

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD + b"".join(chunk(event) for event in EVENTS[:events]))
        await seen.wait()
        if reset:
            conversation.reset()

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        await client.send(chat_request())
        await client.head()
        whole = b"".join(EVENTS[:events])
        assert await client.payload(len(whole)) == whole
        seen.set()
        assert await client.rest() == b"", "no last chunk: the client must see that more was due"
        end = await through.meter.the_end()
        assert (end.ended_by, end.status) == (EndedBy.UPSTREAM_ABORT, 200)
        assert end.extraction is not None
        assert bool(end.extraction.calls) == (events == len(EVENTS) - 1)


async def test_a_body_that_is_shorter_than_its_length_breaks_off_at_the_client_too() -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(length(b"0123456789")[:-4])

    async with raw_upstream(behaviour) as upstream, proxy(upstream.url) as through:
        async with through.client() as client:
            await client.send(chat_request())
            assert b"Content-Length: 10" in await client.head()
            assert await client.rest() == b"012345"
        assert (await through.meter.the_end()).ended_by is EndedBy.UPSTREAM_ABORT


async def test_a_stream_to_an_old_client_that_breaks_off_ends_in_a_reset() -> None:
    seen = asyncio.Event()

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD + chunk(EVENTS[0]))
        await seen.wait()

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        await client.send(chat_request().replace(b"HTTP/1.1", b"HTTP/1.0"))
        await client.head()
        await client.reader.readexactly(len(EVENTS[0]))
        seen.set()
        with pytest.raises(ConnectionResetError):
            await client.reader.read()


@pytest.mark.parametrize(
    ("before", "status"),
    [pytest.param(b"", 504, id="no answer"), pytest.param(HEAD, 200, id="within a stream")],
)
async def test_an_upstream_that_keeps_silent_is_given_up(before: bytes, status: int) -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(before)
        await conversation.the_end()

    async with raw_upstream(behaviour) as upstream:
        hanging = Upstream("openai", upstream.url, timeout_seconds=0.2)
        async with proxy(hanging) as through, through.client() as client:
            await client.send(chat_request())
            head = await client.head()
            assert int(head.split(b" ")[1]) == status
            await client.rest() if before else await client.reader.readuntil(b"}}")
            end = await through.meter.the_end()
            assert end.ended_by is EndedBy.TIMEOUT
            assert end.status == (200 if before else None)


async def test_an_upstream_that_talks_is_waited_for_beyond_its_silence() -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD)
        for event in EVENTS:
            await asyncio.sleep(0.25)
            await conversation.send(chunk(event))
        await conversation.send(b"0\r\n\r\n")

    async with raw_upstream(behaviour) as upstream:
        slow = Upstream("openai", upstream.url, timeout_seconds=1.0)
        async with proxy(slow) as through:
            assert await through.ask(chat_request()) == (200, b"".join(EVENTS))
            assert (await through.meter.the_end()).ended_by is EndedBy.UPSTREAM


async def test_an_answer_that_comes_before_the_request_is_whole_reaches_the_client() -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(length(b'{"error":{}}', "413 Too Large"))
        await conversation.the_end()

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url, timeouts=quick(linger=0.2)) as through,
        through.client() as client,
    ):
        await client.send(b"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nx")
        assert await client.answer() == (413, b'{"error":{}}')
        await client.send(b"y" * 1000)
        assert await client.rest() == b""


async def test_a_dead_kept_connection_is_replaced_unseen() -> None:
    answered = asyncio.Event()

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(length(b"{}"))
        answered.set()

    async with raw_upstream(behaviour) as upstream, proxy(upstream.url) as through:
        for _ in range(4):
            assert await through.ask(chat_request()) == (200, b"{}")
        assert upstream.connections == 4


async def test_a_kept_connection_that_dies_within_a_request_repeats_it_only_without_effects() -> (
    None
):
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(length(b"{}"))
        await conversation.request()
        conversation.reset()

    async with raw_upstream(behaviour) as upstream, proxy(upstream.url) as through:
        get = b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n"
        assert await through.ask(get) == (200, b"{}")
        assert await through.ask(get) == (200, b"{}"), "asked again on another connection"
        assert upstream.connections == 2
        status, _ = await through.ask(chat_request())
        assert status == 502, "a call may have been made: it is not made again"
        assert upstream.connections == 2


async def test_a_kept_connection_that_speaks_unasked_is_not_used_again() -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(length(b"{}") + length(b"smuggled"))
        await conversation.request()
        await conversation.send(length(b"late"))

    async with raw_upstream(behaviour) as upstream, proxy(upstream.url) as through:
        for _ in range(3):
            assert await through.ask(chat_request()) == (200, b"{}")
        assert upstream.connections == 3


async def test_kept_connections_are_closed_when_they_were_idle_for_too_long() -> None:
    closed = asyncio.Event()

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(length(b"{}"))
        await conversation.the_end()
        closed.set()

    settings = quick(idle_upstream=0.1, head=0.2)
    async with raw_upstream(behaviour) as upstream, proxy(upstream.url, timeouts=settings) as p:
        assert await p.ask(chat_request()) == (200, b"{}")
        await asyncio.wait_for(closed.wait(), 10)


async def test_an_upstream_that_says_close_is_not_used_again() -> None:
    closing = length(b"{}", lines="Connection: close\r\n")
    async with raw_upstream(answering(closing)) as upstream, proxy(upstream.url) as through:
        async with through.client() as client:
            for _ in range(2):
                await client.send(chat_request())
                assert await client.answer() == (200, b"{}")
        assert upstream.connections == 2
