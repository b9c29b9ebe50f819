"""What an agent sees of a scrape, and what a sound one gives."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.scrape.bearer import TokenFile
from agentspec_usage.scrape.outcome import Read, ScrapeFailure
from tests.fakes.raw_agents import BODY, agent, answering, ok, scrape, scraper


async def test_a_sound_answer_is_read_with_its_size() -> None:
    outcome = await scrape(answering(ok(BODY)))
    assert isinstance(outcome, Read)
    assert outcome.size == len(BODY)
    assert outcome.reading.snapshots[0].totals.input == 10


async def test_an_agent_on_ipv6_is_read_and_sees_a_bracketed_host() -> None:
    requests: list[bytes] = []

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ok(BODY))
        await writer.drain()

    async with agent(connection, "::1") as target:
        assert isinstance(await scraper().scrape(target), Read)
        assert f"\r\nHost: [::1]:{target.port}\r\n".encode() in requests[0]


async def test_the_request_is_one_get_that_asks_for_plain_json_and_shows_nothing_else() -> None:
    requests: list[bytes] = []

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ok(BODY, "Set-Cookie: session=1\r\n"))
        await writer.drain()

    async with agent(connection) as target:
        reads = scraper()
        for _ in range(2):
            assert isinstance(await reads.scrape(target), Read)
        host = f"Host: 127.0.0.1:{target.port}"
    assert requests[0] == requests[1]
    assert requests[0].decode().split("\r\n") == [
        "GET /agentspec/usage HTTP/1.1",
        host,
        "Accept: application/json",
        "Accept-Encoding: identity",
        "Connection: close",
        "User-Agent: agentspec-usage",
        "",
        "",
    ]


async def test_a_token_is_shown_where_one_is_set(tmp_path: Path) -> None:
    requests: list[bytes] = []

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ok(BODY))
        await writer.drain()

    file = tmp_path / "token"
    file.write_text("agents-only\n")
    async with agent(connection) as target:
        reads = scraper(token=TokenFile(file, SystemClock()))
        assert isinstance(await reads.scrape(target), Read)
    assert b"\r\nAuthorization: Bearer agents-only\r\n" in requests[0]


async def test_without_its_token_no_agent_is_asked(tmp_path: Path) -> None:
    asked: list[None] = []

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(None)

    async with agent(connection) as target:
        reads = scraper(token=TokenFile(tmp_path / "missing", SystemClock()))
        outcome = await reads.scrape(target)
    assert isinstance(outcome, ScrapeFailure)
    assert outcome.message == "the operator cannot read its token for agents"
    assert not asked
