"""Whoever has a whole answer has one that was metered: a kill in between cannot lose a call."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field

import pytest

from agentspec_usage.sidecar.calls import ProxiedEnd, ProxiedRequest
from tests.fakes.call_meter import RecordingMeter
from tests.fakes.raw_upstreams import Conversation, raw_upstream
from tests.integration.sidecar.proxy.proxies import (
    CHAT_DOCUMENT,
    chat_request,
    chunk,
    length,
    proxy,
    stream_events,
)

DOCUMENT = json.dumps(CHAT_DOCUMENT).encode()
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
EVENTS = b"".join(map(chunk, stream_events(usage=True)))
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"


@dataclass
class PeekingMeter(RecordingMeter):
    """Looks, at the end of a call, at what its client has got by then."""

    client: socket.socket | None = None
    seen: list[bytes] = field(default_factory=list)

    def end(self, request: ProxiedRequest, end: ProxiedEnd) -> None:
        assert self.client is not None
        try:
            self.seen.append(self.client.recv(1 << 20, socket.MSG_DONTWAIT | socket.MSG_PEEK))
        except BlockingIOError:
            self.seen.append(b"")
        super().end(request, end)


@pytest.mark.parametrize(
    ("answer", "last"),
    [
        pytest.param(length(DOCUMENT), DOCUMENT, id="a known length"),
        pytest.param(CHUNKED + EVENTS + b"0\r\n\r\n", b"0\r\n\r\n", id="a stream"),
        pytest.param(UNTIL_CLOSE + DOCUMENT, DOCUMENT, id="until the connection ends"),
    ],
)
async def test_the_meter_hears_of_a_call_before_its_client_has_all_of_the_answer(
    answer: bytes, last: bytes
) -> None:
    async def answer_once(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(answer)

    meter = PeekingMeter()
    async with (
        raw_upstream(answer_once) as upstream,
        proxy(upstream.url, meter=meter) as through,
        through.client() as client,
    ):
        own = client.writer.get_extra_info("socket")
        meter.client = socket.socket(fileno=socket.dup(own.fileno()))
        try:
            await client.send(chat_request())
            assert (await client.answer())[0] == 200
        finally:
            meter.client.close()
        [seen] = meter.seen
        assert not seen.endswith(last)
