"""``GET /audit/stream`` over a real socket: everything in order, and nobody holds it up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from agentspec_usage.sidecar.control.parts import ControlBounds
from tests.integration.sidecar.control.served import Served, eventually, served
from tests.unit.sidecar.control.ports import Sidecar, a_sidecar, push
from tests.unit.sidecar.proxied import a_request

NEVER_SILENT = ControlBounds(heartbeat_seconds=0.02)


async def events(answer: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    """Each event's kind and data; a comment is of the kind ":"."""
    kind = ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, value
            kind = ""
        elif line.startswith(":"):
            yield ":", value


def ids(heard: list[tuple[str, str]]) -> list[str]:
    return [json.loads(data)["requestId"] for kind, data in heard if kind == ""]


async def test_a_listener_hears_the_ring_then_what_comes(sidecar: Sidecar) -> None:
    sidecar.exchange("before")
    sidecar.begin(a_request("under way"))
    async with served(sidecar) as control:
        async with control.http.stream("GET", "/audit/stream") as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream"
            heard: list[tuple[str, str]] = []
            async for event in events(answer):
                heard.append(event)
                if len(heard) == 2:
                    sidecar.exchange("after")
                elif len(heard) == 3:
                    for number in range(9):
                        sidecar.exchange(f"more{number}")
                elif len(heard) == 12:
                    await control.http.post("/events", content=push("after"))
                elif event[0] == "budget" or len(heard) == 14:
                    break
    assert ids(heard)[:3] == ["before", "under way", "after"]
    # Ten calls of 120 tokens went over the soft threshold of 1,000.
    announced = [json.loads(data) for kind, data in heard if kind == "budget"]
    assert [told["reason"] for told in announced] == ["softTokens"]


async def test_a_listener_hears_again_of_a_request_of_which_more_is_told(
    sidecar: Sidecar,
) -> None:
    sidecar.exchange("r1")
    async with served(sidecar) as control:
        async with control.http.stream("GET", "/audit/stream") as answer:
            heard = []
            async for _, data in events(answer):
                heard.append(json.loads(data))
                if len(heard) == 2:
                    break
                tool = {"type": "tool", "name": "search"}
                await control.http.post("/events", content=push("r1", tool))
    assert [entry["toolsCalled"] for entry in heard] == [[], ["search"]]


async def test_a_silent_stream_shows_that_it_lives(sidecar: Sidecar) -> None:
    async with served(sidecar, NEVER_SILENT) as control:
        async with control.http.stream("GET", "/audit/stream") as answer:
            heard = []
            async for kind, _ in events(answer):
                heard.append(kind)
                if len(heard) == 3:
                    break
    assert heard == [":", ":", ":"]


async def test_a_listener_that_leaves_makes_room(sidecar: Sidecar) -> None:
    async with served(sidecar, NEVER_SILENT) as control:
        async with control.http.stream("GET", "/audit/stream"):
            assert len(sidecar.audit.feed) == 1
        await eventually(lambda: not len(sidecar.audit.feed), "the listener has left")


async def test_too_many_listeners_are_told_to_come_again(sidecar: Sidecar) -> None:
    async with served(sidecar) as control, asyncio.TaskGroup() as group:
        listening = [group.create_task(_listen(control)) for _ in range(16)]
        await eventually(lambda: len(sidecar.audit.feed) == 16, "all listen")
        refused = await control.http.get("/audit/stream")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        for task in listening:
            task.cancel()


async def _listen(control: Served) -> None:
    async with control.http.stream("GET", "/audit/stream") as answer:
        async for _ in events(answer):
            pass


async def test_the_end_of_the_program_ends_every_stream(sidecar: Sidecar) -> None:
    async with served(sidecar) as control:
        async with control.http.stream("GET", "/audit/stream") as answer:
            sidecar.audit.feed.close()
            # Ends as it should: a body cut short would raise.
            assert [event async for event in events(answer)] == []
        refused = await control.http.get("/audit/stream")
        assert refused.status_code == 429


@pytest.mark.parametrize(
    ("queue_length", "stall_seconds", "dropped"),
    [
        pytest.param(256, 60.0, 1, id="its queue is full"),
        pytest.param(10**6, 0.2, 0, id="a write takes too long"),
    ],
)
async def test_a_reader_that_takes_nothing_is_given_up(
    tmp_path: Path, queue_length: int, stall_seconds: float, dropped: int
) -> None:
    sidecar = a_sidecar(tmp_path, queue_length=queue_length)
    async with served(sidecar, ControlBounds(stall_seconds=stall_seconds)) as control:
        _, writer = await asyncio.open_connection("127.0.0.1", control.port, limit=1024)
        writer.write(b"GET /audit/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        await eventually(lambda: len(sidecar.audit.feed) == 1, "it listens")

        def is_given_up() -> bool:
            for _ in range(20):
                sidecar.audit.announce("noise", {"of": "x" * 20_000})
            return not len(sidecar.audit.feed)

        await eventually(is_given_up, "the reader was given up")
        assert sidecar.audit.feed.dropped == dropped
        answer = await control.http.get("/health/live")
        assert answer.status_code == 200
        writer.transport.abort()
    sidecar.close()
