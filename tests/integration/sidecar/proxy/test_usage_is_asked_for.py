"""A stream's usage is asked for on the client's behalf, and the client does not notice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable

import pytest

from agentspec_usage.sidecar.proxy import ProxyLimits, Upstream
from tests.fakes.raw_upstreams import Conversation, raw_upstream
from tests.integration.sidecar.proxy.proxies import (
    chat_request,
    chunk,
    length,
    proxy,
    stream_events,
)

STREAM_BODY = b'{"model": "gpt-4o",\n "stream": true, "messages": []}'
ASKED = (
    b'{"model": "gpt-4o",\n "stream": true,"stream_options":{"include_usage":true}, "messages": []}'
)
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n{}\r\n"
REFUSAL = b'{"error": {"message": "Unrecognized request argument: stream_options"}}'
OTHER = b'{"error": {"message": "Unsupported value: temperature"}}'

Behaviour = Callable[[Conversation], Awaitable[None]]


def streaming(seen: list[bytes], *, coding: bool = False, refuses: bytes = b"") -> Behaviour:
    """A provider that shows usage to who asks, or refuses the question with ``refuses``."""

    async def behaviour(conversation: Conversation) -> None:
        while True:
            _, body = await conversation.request()
            seen.append(body)
            asked = b"include_usage" in body
            if asked and refuses:
                await conversation.send(refuses)
                continue
            events = stream_events(usage=asked)
            lines = "Transfer-Encoding: chunked\r\n"
            if coding:
                lines += "Content-Encoding: gzip\r\n"
                events = [gzip.compress(b"".join(events))]
            await conversation.send(HEAD.format(lines).encode())
            for event in events:
                await conversation.send(chunk(event))
            await conversation.send(b"0\r\n\r\n")

    return behaviour


@pytest.mark.parametrize("coding", [False, True], ids=["plain", "gzip"])
async def test_the_client_gets_the_stream_it_would_have_got_and_the_call_is_metered(
    coding: bool,
) -> None:
    seen: list[bytes] = []
    async with (
        raw_upstream(streaming(seen, coding=coding)) as upstream,
        proxy(upstream.url) as through,
    ):
        status, body = await through.ask(chat_request(STREAM_BODY))
        assert (status, body) == (200, b"".join(stream_events(usage=False)))
        assert seen == [ASKED]
        end = await through.meter.the_end()
        assert end.injected
        assert end.extraction is not None
        assert end.extraction.calls[0].counts.total == 29


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"model":"m","messages":[]}', id="no stream"),
        pytest.param(
            b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}', id="asks itself"
        ),
        pytest.param(
            b'{"model":"m","stream":true,"stream_options":{"include_usage":false}}', id="says no"
        ),
        pytest.param(b'{"model":"m","stream":true', id="no JSON"),
    ],
)
async def test_a_body_that_does_not_need_it_is_not_changed(body: bytes) -> None:
    seen: list[bytes] = []
    async with raw_upstream(streaming(seen)) as upstream, proxy(upstream.url) as through:
        _, received = await through.ask(chat_request(body))
        assert seen == [body]
        asked = b"include_usage" in body
        assert received == b"".join(stream_events(usage=asked))
        assert not (await through.meter.the_end()).injected


async def test_an_encoded_body_is_not_changed() -> None:
    seen: list[bytes] = []
    body = gzip.compress(STREAM_BODY)
    async with raw_upstream(streaming(seen)) as upstream, proxy(upstream.url) as through:
        await through.ask(chat_request(body, "Content-Encoding: gzip\r\n"))
        assert seen == [body]


async def test_an_upstream_can_be_left_alone() -> None:
    seen: list[bytes] = []
    async with raw_upstream(streaming(seen)) as upstream:
        alone = Upstream("openai", upstream.url, include_usage=False)
        async with proxy(alone) as through:
            await through.ask(chat_request(STREAM_BODY))
            assert seen == [STREAM_BODY]


async def test_a_body_that_is_too_large_to_be_held_is_not_changed() -> None:
    seen: list[bytes] = []
    small = ProxyLimits(held_body=10)
    async with (
        raw_upstream(streaming(seen)) as upstream,
        proxy(upstream.url, limits=small) as through,
    ):
        await through.ask(chat_request(STREAM_BODY))
        assert seen == [STREAM_BODY]


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(length(REFUSAL, "400 Bad Request"), id="400"),
        pytest.param(length(REFUSAL, "422 Unprocessable Entity"), id="422"),
        pytest.param(
            length(gzip.compress(REFUSAL), "400 Bad Request", "Content-Encoding: gzip\r\n"),
            id="compressed",
        ),
        pytest.param(
            length(b"\x00", "400 Bad Request", "Content-Encoding: x-new\r\n"), id="unreadable"
        ),
    ],
)
async def test_an_upstream_that_refuses_the_question_is_asked_as_the_client_wrote(
    refusal: bytes,
) -> None:
    seen: list[bytes] = []
    async with (
        raw_upstream(streaming(seen, refuses=refusal)) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        for _ in range(2):
            await client.send(chat_request(STREAM_BODY))
            assert await client.answer() == (200, b"".join(stream_events(usage=False)))
        assert seen == [ASKED, STREAM_BODY, STREAM_BODY], "the refusal is remembered"
        other = STREAM_BODY.replace(b"gpt-4o", b"gpt-5")
        await client.send(chat_request(other))
        await client.answer()
        assert len(seen) == 5, "for this model alone"
        assert not any(end.injected for end in through.meter.ends)
        assert len(through.meter.ended) == 3


async def test_a_refusal_of_something_else_is_the_clients() -> None:
    seen: list[bytes] = []
    refusal = length(OTHER, "400 Bad Request")
    async with (
        raw_upstream(streaming(seen, refuses=refusal)) as upstream,
        proxy(upstream.url) as through,
    ):
        assert await through.ask(chat_request(STREAM_BODY)) == (400, OTHER)
        assert seen == [ASKED]
        end = await through.meter.the_end()
        assert end.extraction is not None
        assert not end.extraction.calls
        assert not end.extraction.unmetered


async def test_a_refusal_that_is_too_long_to_be_held_is_passed_on() -> None:
    seen: list[bytes] = []
    long = json.dumps({"error": {"message": "stream_options " + "x" * 100_000}}).encode()
    refusal = length(long, "400 Bad Request")
    async with (
        raw_upstream(streaming(seen, refuses=refusal)) as upstream,
        proxy(upstream.url) as through,
    ):
        assert await through.ask(chat_request(STREAM_BODY)) == (400, long)
        assert seen == [ASKED]
