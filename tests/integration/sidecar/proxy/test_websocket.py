"""WebSockets pass frame by frame as they are, and the calls on them are read as they complete."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agentspec_usage.sidecar.calls import EndedBy
from tests.fakes.call_meter import RecordingMeter, until
from tests.fakes.raw_upstreams import answering, raw_upstream
from tests.integration.sidecar.proxy.proxies import length, proxy, quick

REALTIME = "/v1/realtime?model=gpt-realtime"
# https://platform.openai.com/docs/api-reference/realtime-server-events/response/done
DONE = json.dumps(
    {
        "type": "response.done",
        "event_id": "event_CCXHxcMy86rrKhBLDdqCh",
        "response": {
            "object": "realtime.response",
            "id": "resp_CCXHw0UJld10EzIUXQCNh",
            "status": "completed",
            "output": [],
            "usage": {
                "total_tokens": 253,
                "input_tokens": 132,
                "output_tokens": 121,
                "input_token_details": {
                    "text_tokens": 119,
                    "audio_tokens": 13,
                    "image_tokens": 0,
                    "cached_tokens": 64,
                    "cached_tokens_details": {
                        "text_tokens": 64,
                        "audio_tokens": 0,
                        "image_tokens": 0,
                    },
                },
                "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
            },
        },
    }
)


def reached(meter: RecordingMeter, calls: int) -> bool:
    return len(meter.calls) == calls


@asynccontextmanager
async def echoing() -> AsyncIterator[str]:
    """A server that repeats every message, and completes a response when asked for one."""

    async def handle(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(DONE if message == "respond" else message)

    async with serve(handle, "127.0.0.1", 0, max_size=None) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_messages_pass_and_each_response_is_a_call_when_it_completes(
    compression: str | None,
) -> None:
    big = "x" * 300_000
    async with echoing() as upstream, proxy(upstream) as through:
        url = through.url.replace("http", "ws") + REALTIME
        async with connect(
            url, compression=compression, additional_headers={"X-A": "1"}, max_size=None, proxy=None
        ) as socket:
            for message in ("hello", big, b"\x00\xff"):
                await socket.send(message)
                assert await socket.recv() == message
            for number in (1, 2):
                await socket.send("respond")
                assert await socket.recv() == DONE
                await until(partial(reached, through.meter, number))
            assert [call.counts.total for _, call in through.meter.calls] == [253, 253]
            assert through.meter.ended == []
            pong = await socket.ping()
            await pong
        end = await through.meter.the_end()
        assert end.status == 101
        assert end.ended_by in (EndedBy.UPSTREAM, EndedBy.CLIENT)
        assert end.extraction is not None
        assert not end.extraction.unmetered


async def test_a_close_code_reaches_the_other_side() -> None:
    async def handle(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(4001, "enough")

    async with serve(handle, "127.0.0.1", 0) as server:
        upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with (
            proxy(upstream) as through,
            connect(through.url.replace("http", "ws") + REALTIME, proxy=None) as socket,
        ):
            await socket.send("x")
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")


async def test_an_upstream_that_refuses_the_switch_is_an_ordinary_answer() -> None:
    async with (
        raw_upstream(answering(length(b"{}", "401 Unauthorized"))) as upstream,
        proxy(upstream.url) as through,
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(through.url.replace("http", "ws") + REALTIME, proxy=None):
                pass
        assert refused.value.response.status_code == 401
        assert (await through.meter.the_end()).status == 401


async def test_a_socket_that_breaks_is_told_once_and_closes_the_other_side() -> None:
    gone = asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        await connection.recv()
        try:
            await connection.recv()
        except ConnectionClosed:
            gone.set()

    async with serve(handle, "127.0.0.1", 0) as server:
        upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with proxy(upstream) as through:
            async with connect(through.url.replace("http", "ws") + REALTIME, proxy=None) as socket:
                await socket.send("x")
                socket.transport.abort()
            assert (await through.meter.the_end()).ended_by is EndedBy.CLIENT
            await asyncio.wait_for(gone.wait(), 10)


async def test_a_silent_socket_is_given_up_and_an_open_one_is_cut_when_the_proxy_stops() -> None:
    async with echoing() as upstream:
        async with proxy(upstream, timeouts=quick(tunnel_silence=0.2)) as through:
            url = through.url.replace("http", "ws") + REALTIME
            async with connect(url, proxy=None) as socket:
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
            assert (await through.meter.the_end()).ended_by is EndedBy.TIMEOUT
        async with proxy(upstream) as through:
            url = through.url.replace("http", "ws") + REALTIME
            async with connect(url, proxy=None) as socket:
                await socket.send("x")
                await through.server.stop(0)
                assert (await through.meter.the_end()).ended_by is EndedBy.SHUTDOWN
