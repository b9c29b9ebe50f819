"""What one scrape costs the operator in CPU: its own transport against the HTTP clients that it
could have used.

Run: ``.venv/bin/python bench/scrape_transport.py``. One server process on loopback, many addresses
(127.0.x.y), the same answer for all; the CPU is that of the client process alone, user and system,
decoding left out. A fleet asks each target once in thirty seconds, so what counts is the row with a
connection per request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import httpx

from agentspec_usage.metering.snapshot import UsageReading
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.scrape.http import HttpScraper, ScrapeSettings
from agentspec_usage.scrape.outcome import Read, Target

PATH = "/agentspec/usage"
HOSTS = [f"127.0.{third}.{fourth}" for third in range(4) for fourth in range(1, 251)]
CONCURRENCIES = (1, 16, 64)

_MODELS = [
    {
        "modelId": f"openai/m{i}",
        "promptTokens": 9,
        "completionTokens": 3,
        "totalTokens": 12,
        "callCount": 1,
    }
    for i in range(8)
]
BODY = json.dumps({"models": _MODELS, "totalTokens": 96, "totalCalls": 8}).encode()
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
ANSWER = HEAD.encode() + BODY

Get = Callable[[str], Awaitable[int]]


class _Agent(asyncio.Protocol):
    """The cheapest server that is still HTTP; it keeps or closes as the client asks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._request = b""

    def data_received(self, data: bytes) -> None:
        self._request += data
        if self._request.endswith(b"\r\n\r\n"):
            self._transport.write(ANSWER)
            if b"\r\nconnection: close" in self._request.lower():
                self._transport.close()
            self._request = b""


async def serve() -> None:
    """Serves on every one of ``HOSTS`` at one port, which it says on stdout."""
    loop = asyncio.get_running_loop()
    first = await loop.create_server(_Agent, HOSTS[0], 0, backlog=1024)
    port = first.sockets[0].getsockname()[1]
    others = [await loop.create_server(_Agent, host, port, backlog=1024) for host in HOSTS[1:]]
    print(port, flush=True)
    # The parent's end closes our standard input: then this ends too.
    await loop.run_in_executor(None, sys.stdin.read)
    for server in (first, *others):
        server.close()


async def cpu_per_get(get: Get, concurrency: int, count: int) -> float:
    """Microseconds of this process's CPU for one of ``count`` requests."""
    todo = iter(range(count))

    async def worker() -> None:
        for number in todo:
            assert await get(HOSTS[number % len(HOSTS)]) == len(BODY)

    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*[worker() for _ in range(concurrency)])
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return used / count * 1e6


def of_scraper(scraper: HttpScraper, port: int) -> Get:
    """A scrape by the operator's own transport."""

    async def get(host: str) -> int:
        outcome = await scraper.scrape(Target(host, port, PATH))
        assert isinstance(outcome, Read), outcome
        return outcome.size

    return get


def of_aiohttp(session: aiohttp.ClientSession, port: int) -> Get:
    """A bare GET by aiohttp."""

    async def get(host: str) -> int:
        async with session.get(f"http://{host}:{port}{PATH}", allow_redirects=False) as answer:
            return len(await answer.read())

    return get


def of_httpx(client: httpx.AsyncClient, port: int) -> Get:
    """A bare GET by httpx."""

    async def get(host: str) -> int:
        return len((await client.get(f"http://{host}:{port}{PATH}")).content)

    return get


async def measure(port: int, count: int) -> dict[str, dict[str, float]]:
    """CPU in microseconds by transport and concurrency; the best of three rounds of ``count``
    requests.
    """
    scraper = HttpScraper(
        ScrapeSettings(timeout=30, allow_loopback=True), lambda _body: UsageReading(), SystemClock()
    )
    fresh = aiohttp.TCPConnector(limit=0, force_close=True)
    kept = aiohttp.TCPConnector(limit=0)
    one_shot = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        aiohttp.ClientSession(connector=fresh, cookie_jar=aiohttp.DummyCookieJar()) as closing,
        aiohttp.ClientSession(connector=kept, cookie_jar=aiohttp.DummyCookieJar()) as keeping,
        httpx.AsyncClient(limits=one_shot, trust_env=False, timeout=30) as client,
    ):
        transports: dict[str, tuple[Get, int]] = {
            "operator's own, a connection each": (of_scraper(scraper, port), count),
            "aiohttp, a connection each": (of_aiohttp(closing, port), count),
            "aiohttp, connections kept": (of_aiohttp(keeping, port), count),
            "httpx, a connection each": (of_httpx(client, port), count // 4),
        }
        return {
            name: {
                str(concurrency): round(
                    min([await cpu_per_get(get, concurrency, requests) for _ in range(3)]), 1
                )
                for concurrency in CONCURRENCIES
            }
            for name, (get, requests) in transports.items()
        }


def main() -> None:
    """Prints the table; ``--json FILE`` writes it as well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=2000, help="requests a round")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    with subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            rows = asyncio.run(measure(int(server.stdout.readline()), options.requests))
        finally:
            server.stdin.close()
    print(f"{'µs CPU a GET, at concurrency':36}" + "".join(f"{c:>8}" for c in CONCURRENCIES))
    for name, row in rows.items():
        print(f"{name:36}" + "".join(f"{row[str(c)]:8.0f}" for c in CONCURRENCIES))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
