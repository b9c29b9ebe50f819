"""The meter may refuse a call; a fault of metering may not touch one."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

import pytest

from agentspec_usage.extraction.framing import NewDecoder
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.sidecar.calls import EndedBy, ProxiedEnd, ProxiedRequest, Refusal
from agentspec_usage.sidecar.proxy import ProxyServer, ProxySettings, Upstream
from tests.fakes.call_meter import RecordingMeter, until
from tests.fakes.raw_upstreams import answering, raw_upstream
from tests.integration.sidecar.proxy.proxies import (
    CHAT_BODY,
    CHAT_DOCUMENT,
    RunningProxy,
    chat_request,
    length,
    proxy,
)

CANARY = "sk-canary-prompt-0123456789"
DOCUMENT = json.dumps(CHAT_DOCUMENT).encode()


class BrokenMeter(RecordingMeter):
    """Fails at whatever it is told, after it noted it."""

    def begin(self, request: ProxiedRequest) -> Refusal | None:
        super().begin(request)
        raise RuntimeError(CANARY)

    def end(self, request: ProxiedRequest, end: ProxiedEnd) -> None:
        super().end(request, end)
        raise RuntimeError(CANARY)


async def test_a_call_is_metered_and_named_everywhere_alike() -> None:
    requests: list[tuple[bytes, bytes]] = []
    async with (
        raw_upstream(answering(length(DOCUMENT), requests)) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        await client.send(
            chat_request(
                lines="X-AgentSpec-Call-Id: 0123abcd\r\n", path="/v1/chat/completions?key=secret"
            )
        )
        head = await client.head()
        end = await through.meter.the_end()
        [(request, _)] = through.meter.ended
        assert f"\r\nx-agentspec-request-id: {request.key}\r\n".encode() in head
        assert f"\r\nx-request-id: {request.key}\r\n".encode() in requests[0][0]
        assert b"call-id" not in requests[0][0].lower()
        assert (request.call_id, request.method) == ("0123abcd", "POST")
        assert request.path == "/v1/chat/completions", "a query may hold a key"
        assert request.facts is not None
        assert request.facts.model == "gpt-4o"
        assert (end.request_bytes, end.response_bytes) == (len(CHAT_BODY), len(DOCUMENT))
        assert end.ttft_ms is not None
        assert 0 <= end.ttft_ms <= end.duration_ms
        assert end.extraction is not None
        [call] = end.extraction.calls
        assert (call.counts.input, call.counts.output) == (19, 10)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("X-AgentSpec-Call-Id: a\r\nX-AgentSpec-Call-Id: b\r\n", id="twice"),
        pytest.param(f"X-AgentSpec-Call-Id: {'a' * 500}\r\n", id="long"),
        pytest.param("X-AgentSpec-Call-Id: a\x01b\r\n", id="not printable"),
    ],
)
async def test_a_call_id_that_cannot_be_the_sdks_is_none(line: str) -> None:
    async with raw_upstream(answering(length(DOCUMENT))) as upstream, proxy(upstream.url) as p:
        assert (await p.ask(chat_request(lines=line)))[0] == 200
        assert p.meter.began[0].call_id == ""


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/files"])
async def test_a_refused_call_is_not_sent_and_the_connection_goes_on(path: str) -> None:
    document = {"error": {"type": "budget_exhausted", "message": "the pod's budget is used up"}}
    meter = RecordingMeter(judge=lambda request: Refusal(document))
    async with (
        raw_upstream(answering(length(DOCUMENT))) as upstream,
        proxy(upstream.url, meter=meter) as through,
        through.client() as client,
    ):
        for _ in range(2):
            await client.send(chat_request(path=path))
            status, body = await client.answer()
            assert (status, json.loads(body)) == (403, document)
        assert upstream.connections == 0
        assert [(end.ended_by, end.sent) for end in meter.ends] == [(EndedBy.REFUSED, False)] * 2


async def test_a_meter_that_fails_breaks_no_call_and_its_words_reach_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    meter = BrokenMeter()
    async with (
        raw_upstream(answering(length(DOCUMENT))) as upstream,
        proxy(upstream.url, meter=meter) as through,
    ):
        for _ in range(3):
            assert await through.ask(chat_request()) == (200, DOCUMENT)
        await until(lambda: len(meter.ended) == 3)
        assert through.server.faults == 6
    assert len([r for r in caplog.records if r.name.startswith("agentspec_usage")]) == 2
    assert CANARY not in caplog.text


async def test_a_reader_that_fails_leaves_the_call_unmetered_and_unbroken() -> None:
    class Broken(dict[str, NewDecoder]):
        """Decoders that fail when they are looked at."""

        def __getitem__(self, name: str) -> NewDecoder:
            raise RuntimeError(CANARY)

    decoders: Mapping[str, NewDecoder] = Broken(gzip=lambda: None)  # type: ignore[arg-type, return-value]
    zipped = length(b"not gzip at all", lines="Content-Encoding: gzip\r\n")
    meter = RecordingMeter()
    async with raw_upstream(answering(zipped)) as upstream:
        settings = ProxySettings([Upstream("openai", upstream.url)])
        server = ProxyServer(settings, meter, SystemClock(), lambda: "key", decoders)
        port = await server.start("127.0.0.1", 0)
        through = RunningProxy(server, meter, port)
        assert await through.ask(chat_request()) == (200, b"not gzip at all")
        end = await meter.the_end()
        await server.stop(0)
    assert end.extraction is not None
    assert end.extraction.unmetered
    assert server.faults == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
            id="two framings",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            id="a hidden framing",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\n X: folded\r\n\r\n", id="a folded line"),
        pytest.param(b"GET /../x HTTP/1.1\r\nHost: h\r\n\r\n", id="dot segments"),
        pytest.param(b"CONNECT evil:443 HTTP/1.1\r\nHost: h\r\n\r\n", id="a tunnel elsewhere"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="TLS"),
    ],
)
async def test_a_request_that_could_be_read_in_two_ways_is_refused_and_nothing_follows(
    request_bytes: bytes,
) -> None:
    async with (
        raw_upstream(answering(length(DOCUMENT))) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        await client.send(request_bytes)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 4")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert upstream.connections == 0
        assert through.meter.began == []


async def test_a_chunk_that_lies_ends_the_request_upstream_too() -> None:
    async with (
        raw_upstream(answering(length(DOCUMENT))) as upstream,
        proxy(upstream.url) as through,
        through.client() as client,
    ):
        await client.send(
            b"POST /v1/files HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabcdef\r\n0\r\n\r\n"
        )
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
        assert (await through.meter.the_end()).ended_by is EndedBy.CLIENT
