"""Handing in over HTTP: the token goes to one place alone, and whatever comes is a value."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentspec_usage.controller.control_plane_http import ControlPlaneHttp
from agentspec_usage.delivery.sender import NoAnswer, Reply
from agentspec_usage.scrape.bearer import TokenFile
from agentspec_usage.wire.observed_answer import MAX_ANSWER, decode_observed_answer
from agentspec_usage.wire.observed_encoding import (
    Observation,
    encode_observation,
    encode_observed,
)
from tests.fakes.control_plane import FakeControlPlane, ServedControlPlane
from tests.fakes.hand_clock import HandClock
from tests.unit.metering.readings import A, reading, snapshot

BODY = encode_observed(
    [encode_observation(Observation("team", "bot", "pod", "c", 1, reading(snapshot(A, 5))))]
)


@pytest.fixture
def served() -> Iterator[ServedControlPlane]:
    with ServedControlPlane(FakeControlPlane(HandClock().now)) as served:
        yield served


def posted(url: str, token: TokenFile | None = None, times: int = 1) -> Reply | NoAnswer:
    """The last of so many answers."""

    async def main() -> Reply | NoAnswer:
        http = ControlPlaneHttp(url, token, user_agent="tests", timeout=2.0)
        try:
            for _ in range(times):
                reply = await http.post(BODY)
            return reply
        finally:
            await http.close()

    return asyncio.run(main())


@pytest.mark.parametrize("slash", [pytest.param("", id="bare"), pytest.param("/", id="slash")])
def test_a_body_is_answered(served: ServedControlPlane, slash: str) -> None:
    reply = posted(served.url + slash, times=2)
    assert isinstance(reply, Reply)
    assert reply.status == 200
    (agent,) = decode_observed_answer(reply.body).agents
    assert (agent.name, agent.tail_tokens) == ("bot", 5)
    assert served.authorizations == ["", ""]


def test_the_token_is_shown_and_a_new_one_is_taken_up(
    served: ServedControlPlane, tmp_path: Path
) -> None:
    path, clock = tmp_path / "token", HandClock()
    token = TokenFile(path, clock)
    path.write_text("first.of.all\n")
    posted(served.url, token)
    path.write_text("second\n")
    clock.pass_seconds(61)
    posted(served.url, token)
    assert served.authorizations == ["Bearer first.of.all", "Bearer second"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param("two\nlines", id="two lines"),
    ],
)
def test_without_a_token_in_its_file_nothing_is_sent(
    served: ServedControlPlane, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    reply = posted(served.url, TokenFile(path, HandClock()))
    assert isinstance(reply, NoAnswer)
    assert "two" not in reply.reason
    assert served.authorizations == []


def test_a_retry_after_is_read(served: ServedControlPlane) -> None:
    served.plane.faults.append(Reply(503, retry_after=7.0))
    assert posted(served.url) == Reply(503, b"", 7.0)


def test_a_redirect_is_not_followed(served: ServedControlPlane) -> None:
    served.plane.faults.append(Reply(307))
    assert posted(served.url) == Reply(307)
    assert len(served.authorizations) == 1


def test_an_answer_that_is_too_large_is_none(served: ServedControlPlane) -> None:
    served.plane.faults += [Reply(200, b"x" * MAX_ANSWER), Reply(200, b"x" * (MAX_ANSWER + 1))]
    assert isinstance(posted(served.url), Reply)
    assert posted(served.url) == NoAnswer("an answer that is too large")


def test_an_answer_that_is_packed_is_not_inflated(served: ServedControlPlane) -> None:
    packed = gzip.compress(b"x" * (8 * MAX_ANSWER))
    served.plane.encoding = "gzip"
    served.plane.faults.append(Reply(200, packed))
    assert posted(served.url) == Reply(200, packed)


def test_a_connection_that_breaks_is_no_answer(served: ServedControlPlane) -> None:
    served.plane.away = True
    assert isinstance(posted(served.url), NoAnswer)


def test_nobody_there_is_no_answer(served: ServedControlPlane) -> None:
    with ServedControlPlane(served.plane) as other:
        url = other.url
    assert isinstance(posted(url), NoAnswer)


def test_a_control_plane_that_never_answers_is_no_answer() -> None:
    async def main() -> Reply | NoAnswer:
        left = asyncio.Event()

        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            await writer.wait_closed()
            left.set()

        server = await asyncio.start_server(hold, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        http = ControlPlaneHttp(f"http://127.0.0.1:{port}", None, user_agent="t", timeout=0.2)
        async with server:
            reply = await http.post(BODY)
            await http.close()
            await left.wait()
        return reply

    assert asyncio.run(main()) == NoAnswer("no whole answer in time")
