"""What a client gets through the proxy is what it would have got without it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator

import brotli  # type: ignore[import-untyped]
import pytest

from agentspec_usage.sidecar.calls import EndedBy
from agentspec_usage.sidecar.proxy import ProxyLimits, Upstream
from tests.fakes.raw_upstreams import Conversation, answering, raw_upstream
from tests.integration.sidecar.proxy.proxies import (
    CHAT_DOCUMENT,
    chat_request,
    chunk,
    length,
    proxy,
    stream_events,
)

DOCUMENT = json.dumps(CHAT_DOCUMENT).encode()
STREAM = b"".join(stream_events(usage=True))
CHUNKED = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{}Transfer-Encoding: chunked\r\n\r\n"
)


def chunked(body: bytes, size: int, lines: str = "", trailers: bytes = b"") -> bytes:
    chunks = b"".join(chunk(body[i : i + size]) for i in range(0, len(body), size))
    return CHUNKED.format(lines).encode() + chunks + b"0\r\n" + trailers + b"\r\n"


def answers() -> Iterator[object]:
    """Answers as an upstream may write them, and the body that a client must see."""
    error = b'{"error": {"message": "no", "type": "invalid_request_error"}}'
    comments = b": ping\n\n" + STREAM.replace(b"\n\n", b"\r\n\r\n") + b": bye"
    zipped, brotlied = gzip.compress(DOCUMENT), brotli.compress(STREAM)
    close = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + STREAM
    yield pytest.param(length(DOCUMENT), DOCUMENT, id="json")
    yield pytest.param(length(b""), b"", id="an empty body")
    yield pytest.param(length(b"\x00\xff" * 999), b"\x00\xff" * 999, id="no JSON at all")
    for status in ("400 Bad Request", "401 Unauthorized", "429 Slow", "500 Oops", "529 Overloaded"):
        yield pytest.param(length(error, status), error, id=status)
    moved = length(b"", "307 Moved", "Location: http://169.254.169.254/\r\n")
    yield pytest.param(moved, b"", id="a redirect is not followed")
    yield pytest.param(chunked(STREAM, 10_000), STREAM, id="a stream in one chunk")
    yield pytest.param(chunked(STREAM, 1), STREAM, id="a stream in chunks of one byte")
    yield pytest.param(chunked(comments, 33), comments, id="comments, CRLF, no blank line at last")
    yield pytest.param(chunked(STREAM, 64, trailers=b"X-T: 1\r\n"), STREAM, id="trailers")
    yield pytest.param(length(zipped, lines="Content-Encoding: gzip\r\n"), zipped, id="gzip")
    yield pytest.param(chunked(brotlied, 5, "Content-Encoding: br\r\n"), brotlied, id="br stream")
    yield pytest.param(close, STREAM, id="a stream that ends with the connection")


@pytest.mark.parametrize(("sent", "body"), list(answers()))
async def test_a_body_arrives_as_it_was_sent(sent: bytes, body: bytes) -> None:
    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(sent)

    async with raw_upstream(behaviour) as upstream, proxy(upstream.url) as through:
        status, received = await through.ask(chat_request())
        assert received == body
        assert status == int(sent.split(b" ")[1])
        end = await through.meter.the_end()
        assert (end.status, end.ended_by) == (status, EndedBy.UPSTREAM)
        assert end.response_bytes == len(body)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(length(DOCUMENT, "200 OK"), id="with a length"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", id="204"),
        pytest.param(b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n', id="304"),
    ],
)
async def test_an_answer_without_a_body_leaves_the_connection_usable(answer: bytes) -> None:
    head_of_answer = answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    requests: list[tuple[bytes, bytes]] = []
    async with (
        raw_upstream(answering(head_of_answer, requests)) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        for _ in range(3):
            await client.send(b"HEAD /v1/models HTTP/1.1\r\nHost: h\r\n\r\n")
            head = await client.head()
            assert head.split(b"\r\n")[0] == answer.split(b"\r\n")[0]
            assert (b"Content-Length" in head) == (b"Content-Length" in answer)
        assert upstream.connections == 1
    assert [head.split(b" ")[0] for head, _ in requests] == [b"HEAD"] * 3


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(b"Content-Length: %d\r\n\r\n", id="length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n", id="chunked"),
    ],
)
@pytest.mark.parametrize(
    "path", [pytest.param("/v1/files", id="streamed"), pytest.param("/v1/embeddings", id="held")]
)
async def test_a_requests_body_arrives_as_it_was_sent(framing: bytes, path: str) -> None:
    body = bytes(range(256)) * 40
    requests: list[tuple[bytes, bytes]] = []
    head = f"POST {path}?key=k HTTP/1.1\r\nHost: h\r\n".encode()
    if b"%d" in framing:
        request = head + framing % len(body) + body
    else:
        pieces = b"".join(chunk(body[i : i + 7]) for i in range(0, len(body), 7))
        request = head + framing + pieces + b"0\r\n\r\n"
    async with (
        raw_upstream(answering(length(b"{}"), requests)) as upstream,
        proxy(upstream.url) as through,
    ):
        assert (await through.ask(request))[0] == 200
    [(sent, arrived)] = requests
    assert arrived == body
    assert sent.startswith(f"POST {path}?key=k HTTP/1.1\r\n".encode())


async def test_a_body_beyond_what_is_held_back_passes_as_it_comes() -> None:
    body = b'{"model": "gpt-4o", "stream": true, "x": "%b"}' % (b"y" * 300_000)
    requests: list[tuple[bytes, bytes]] = []
    async with (
        raw_upstream(answering(length(DOCUMENT), requests)) as upstream,
        proxy(upstream.url, limits=ProxyLimits(held_body=10_000)) as through,
    ):
        assert (await through.ask(chat_request(body)))[0] == 200
        facts = through.meter.began[0].facts
        assert facts is not None
        assert facts.model == "gpt-4o"
    assert [asked for _, asked in requests] == [body]


async def test_requests_on_one_connection_are_answered_in_order_also_when_pipelined() -> None:
    async def behaviour(conversation: Conversation) -> None:
        while True:
            head, _ = await conversation.request()
            await conversation.send(length(head.split(b" ")[1]))

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        wanted = [f"/v1/{n}" for n in range(5)]
        await client.send(b"".join(chat_request(path=path) for path in wanted))
        assert [(await client.answer())[1].decode() for _ in wanted] == wanted
        assert upstream.connections == 1


async def test_each_prefix_leads_to_its_upstream_and_another_path_nowhere() -> None:
    async with (
        raw_upstream(answering(length(b"one"))) as one,
        raw_upstream(answering(length(b"two"))) as two,
        proxy(Upstream("openai", one.url, "/a"), Upstream("anthropic", two.url, "/b")) as through,
    ):
        assert await through.ask(chat_request(path="/a/v1/x")) == (200, b"one")
        assert await through.ask(chat_request(path="/b/v1/x")) == (200, b"two")
        status, document = await through.ask(chat_request(path="/c/v1/x"))
        assert (status, json.loads(document)["error"]["type"]) == (404, "unknown_path")


async def test_an_interim_answer_is_passed_on() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with (
        raw_upstream(answering(early + length(DOCUMENT))) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        await client.send(chat_request())
        assert await client.head() == early
        assert await client.answer() == (200, DOCUMENT)


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    requests: list[tuple[bytes, bytes]] = []
    async with (
        raw_upstream(answering(length(DOCUMENT), requests)) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        head, body = chat_request(lines="Expect: 100-continue\r\n").split(b"\r\n\r\n", 1)
        await client.send(head + b"\r\n\r\n")
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(body)
        assert await client.answer() == (200, DOCUMENT)
    assert b"expect" not in requests[0][0].lower()


async def test_an_old_client_gets_a_stream_until_the_end_of_its_connection() -> None:
    async with (
        raw_upstream(answering(chunked(STREAM, 50))) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        await client.send(chat_request().replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = await client.rest()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head.lower()
        assert body == STREAM


async def test_events_arrive_as_they_are_sent() -> None:
    events = stream_events(usage=True)
    step = asyncio.Semaphore(0)

    async def behaviour(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(CHUNKED.format("").encode())
        for event in events:
            await step.acquire()
            await conversation.send(chunk(event))
        await conversation.send(b"0\r\n\r\n")

    async with (
        raw_upstream(behaviour) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        await client.send(chat_request())
        await client.head()
        for event in events:
            step.release()
            assert await client.payload(len(event)) == event
