"""The scraper against real servers that do everything wrong, over real sockets and through the real
decoder.

Whatever an agent does comes back as a failure with a reason, within the deadline, and nothing of
what it sent is in the message. The servers are bare sockets: no HTTP library would send these
bytes.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import struct
from pathlib import Path

import pytest

from agentspec_usage.scrape.outcome import Failure, ScrapeFailure, Target
from tests.fakes.raw_agents import BODY, CANARY, Connection, agent, answering, ok, scrape, scraper


async def test_a_port_where_nobody_listens_refuses() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        target = Target("127.0.0.1", reserved.getsockname()[1], "/agentspec/usage")
        outcome = await scraper().scrape(target)
    assert isinstance(outcome, ScrapeFailure)
    assert outcome.failure is Failure.CONNECTION_FAILED
    assert outcome.message == "the agent's port refuses connections"


async def test_a_connection_reset_inside_the_body_is_a_disconnect() -> None:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(BODY)[:-5])
        await writer.drain()
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    outcome = await scrape(connection)
    assert isinstance(outcome, ScrapeFailure)
    assert outcome.failure is Failure.DISCONNECTED


@pytest.mark.parametrize(
    ("connection", "failure"),
    [
        pytest.param(answering(), Failure.DISCONNECTED, id="closes unanswered"),
        pytest.param(answering(ok(BODY)[:-5]), Failure.DISCONNECTED, id="closes in the body"),
        pytest.param(
            answering(
                ok(BODY, f"Location: http://169.254.169.254/{CANARY}\r\n").replace(
                    b"200 OK", b"302 F"
                )
            ),
            Failure.REDIRECTED,
            id="redirects",
        ),
        pytest.param(
            answering(f"HTTP/1.1 503 {CANARY}\r\n\r\n{CANARY}".encode()),
            Failure.BAD_STATUS,
            id="503",
        ),
        pytest.param(
            answering(ok(f"<html><p>{CANARY}</p></html>".encode(), "Content-Type: text/html\r\n")),
            Failure.BAD_BODY,
            id="HTML",
        ),
        pytest.param(
            answering(ok(gzip.compress(BODY), "Content-Encoding: gzip\r\n")),
            Failure.ENCODED,
            id="gzip",
        ),
        pytest.param(answering(ok(gzip.compress(BODY))), Failure.BAD_BODY, id="gzip in secret"),
        pytest.param(answering(ok(b"x" * 10_000_000)), Failure.TOO_LARGE, id="10 MB declared"),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 100_000] * 100),
            Failure.TOO_LARGE,
            id="10 MB undeclared",
        ),
        pytest.param(
            answering(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                *[b"186a0\r\n" + b"x" * 100_000 + b"\r\n"] * 100,
            ),
            Failure.TOO_LARGE,
            id="10 MB chunked",
        ),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\n", *[b"X-Header: value\r\n"] * 20_000),
            Failure.TOO_LARGE,
            id="endless headers",
        ),
        pytest.param(
            answering(*[b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n"] * 20_000),
            Failure.TOO_LARGE,
            id="endless interim answers",
        ),
        pytest.param(
            answering(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nabc\r\ngarbage\r\n"
            ),
            Failure.BAD_BODY,
            id="chunked garbage",
        ),
        pytest.param(
            answering(
                f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY) + 9}\r\n\r\n".encode() + BODY
            ),
            Failure.DISCONNECTED,
            id="length too long",
        ),
        pytest.param(
            answering(
                f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY) - 9}\r\n\r\n".encode() + BODY
            ),
            Failure.BAD_BODY,
            id="length too short",
        ),
        pytest.param(
            answering(b"220 smtp.example ESMTP " + CANARY.encode() + b"\r\n"),
            Failure.BAD_BODY,
            id="SMTP",
        ),
    ],
)
async def test_what_is_no_sound_answer_is_a_failure_with_its_reason(
    connection: Connection, failure: Failure, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="agentspec_usage"):
        outcome = await scrape(connection)
    assert isinstance(outcome, ScrapeFailure)
    assert outcome.failure is failure
    assert CANARY not in outcome.message
    assert CANARY not in caplog.text


def usage(total: str = "15", row: str = "") -> bytes:
    """BODY with a literal in the place of its total, or more in its row."""
    text = BODY.decode().replace(
        '"totalTokens": 15, "totalCalls"', f'"totalTokens": {total}, "totalCalls"'
    )
    return text.replace('"callCount": 1', f'"callCount": 1{row}').encode()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(usage("NaN"), id="NaN"),
        pytest.param(usage("Infinity"), id="infinity"),
        pytest.param(usage("-15"), id="negative"),
        pytest.param(usage("1" + "0" * 30), id="10^30"),
        pytest.param(usage("9007199254740992"), id="2^53"),
        pytest.param(usage("15.5"), id="float"),
        pytest.param(usage("true"), id="bool"),
        pytest.param(usage(f'"{CANARY}"'), id="string"),
        pytest.param(usage(row=', "callCount": 2'), id="duplicate key"),
        pytest.param(usage(row=f', "{CANARY}": 1, "{CANARY}": 2'), id="duplicate unknown key"),
        pytest.param(b"[" * 100_000, id="deep nesting"),
        pytest.param(usage(row=', "x": ' + "[" * 60 + "]" * 60), id="nesting past the bound"),
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"\xff\xfe{}", id="not UTF-8"),
        pytest.param(BODY + b"{}", id="two documents"),
    ],
)
async def test_a_body_that_does_not_decode_is_bad_and_nothing_of_it_is_repeated(
    body: bytes,
) -> None:
    outcome = await scrape(answering(ok(body)))
    assert isinstance(outcome, ScrapeFailure)
    assert outcome.failure is Failure.BAD_BODY
    assert CANARY not in outcome.message
    assert len(outcome.message) < 300


@pytest.mark.parametrize(
    "connection",
    [
        pytest.param(answering(b"", pause=3600), id="never answers"),
        pytest.param(
            answering(*[ok(BODY)[i : i + 1] for i in range(200)], pause=1), id="a byte a second"
        ),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\n\r\n", *[b" "] * 1000, pause=0.05),
            id="a byte now and then after the head",
        ),
    ],
)
async def test_a_slow_agent_is_given_up_at_the_deadline_however_it_trickles(
    connection: Connection,
) -> None:
    # A timeout that each byte renews would never end the last two.
    outcome = await asyncio.wait_for(scrape(connection, deadline=0.4), 30)
    assert isinstance(outcome, ScrapeFailure)
    assert outcome.failure is Failure.TIMEOUT
    assert outcome.seconds >= 0.4


async def test_an_address_that_swallows_packets_is_given_up_at_the_deadline() -> None:
    # With its queue of connections full, Linux drops further ones unanswered, as a firewall does.
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        target = Target("127.0.0.1", deaf.getsockname()[1], "/agentspec/usage")
        outcome = await asyncio.wait_for(scraper(0.4).scrape(target), 30)
    assert isinstance(outcome, ScrapeFailure)
    assert outcome.failure is Failure.TIMEOUT


async def test_cancelling_a_scrape_closes_its_connection() -> None:
    closed = asyncio.Event()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        assert await reader.read() == b""
        closed.set()

    asked = asyncio.Event()
    async with agent(connection) as target:
        scraping = asyncio.create_task(scraper(60).scrape(target))
        await asked.wait()
        scraping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scraping
        await asyncio.wait_for(closed.wait(), 10)


async def test_a_thousand_bad_scrapes_leave_no_descriptor_open() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with agent(answering(ok(b"x" * 300_000))) as target:
        reads = scraper()
        await reads.scrape(target)
        before = descriptors()
        for _ in range(50):
            await asyncio.gather(*[reads.scrape(target) for _ in range(20)])
        # The server's ends of the last connections may be closing yet.
        assert descriptors() <= before + 20
