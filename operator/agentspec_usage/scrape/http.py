"""Scrapes over HTTP/1.1: connect to an address literal, ask once, read a bounded answer, close.

The socket is driven directly through the event loop, so the address that is judged is the very one
that is handed to connect, with nothing in between that could resolve, redirect or substitute it.

One connection a scrape. Kept open, 10,000 of them took 76 MB and 10,000 descriptors of an HTTP
client (measured), for one request in thirty seconds to servers most of which close an idle
connection after five. A fresh one costs 0.10 to 0.14 ms of CPU here, and 0.22 to 0.36 ms by that
client (``bench/scrape_transport.py``).

One deadline covers connect, request and answer: a byte a second gains nothing.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from agentspec_usage.errors import WireError
from agentspec_usage.metering.snapshot import UsageReading
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.scrape.address import path_refusal, port_refusal, refusal
from agentspec_usage.scrape.bearer import TokenFile, TokenUnreadable
from agentspec_usage.scrape.outcome import Failure, Outcome, Read, ScrapeFailure, Target
from agentspec_usage.scrape.response import AnswerError, Bounds, ResponseReader

__all__ = ["HttpScraper", "ScrapeSettings"]

_READ_SIZE = 32 * 1024

_CONNECT_MESSAGES = {
    errno.ECONNREFUSED: "the agent's port refuses connections",
    errno.EHOSTUNREACH: "no route to the agent's address",
    errno.ENETUNREACH: "no route to the agent's address",
    errno.EMFILE: "the operator has no file descriptor left",
    errno.ENFILE: "the operator's node has no file descriptor left",
}


@dataclass(frozen=True, slots=True)
class ScrapeSettings:
    """How agents are asked.

    ``timeout``: seconds for a whole scrape; below the shortest checkInterval (5 s), so that a slow
    agent is late by one slot at most. ``allow_loopback``: for development, where agents are
    processes of this machine. ``user_agent``: what the agents' access logs show.
    """

    timeout: float = 4.0
    bounds: Bounds = field(default_factory=Bounds)
    allow_loopback: bool = False
    user_agent: str = "agentspec-usage"


class HttpScraper:
    """The ``Scraper`` of real agents.

    ``decode`` turns a body into a reading and raises WireError alone. ``token`` adds an
    Authorization header; agents can be given a projected token with an audience of its own, never
    the API server's.
    """

    __slots__ = ("_clock", "_decode", "_request_tail", "_settings", "_token")

    def __init__(
        self,
        settings: ScrapeSettings,
        decode: Callable[[bytes], UsageReading],
        clock: Clock,
        token: TokenFile | None = None,
    ) -> None:
        self._settings = settings
        self._decode = decode
        self._clock = clock
        self._token = token
        self._request_tail = (
            "\r\nAccept: application/json"
            "\r\nAccept-Encoding: identity"
            "\r\nConnection: close"
            f"\r\nUser-Agent: {settings.user_agent}"
        )

    async def scrape(self, target: Target) -> Outcome:
        """Reads ``target`` once. Raises nothing but cancellation."""
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._settings.timeout):
                body = await self._get(target)
            reading = self._decode(body)
        except AnswerError as refused:
            failure, message = refused.failure, refused.message
        except WireError as damaged:
            failure, message = Failure.BAD_BODY, str(damaged)
        except TimeoutError:
            failure = Failure.TIMEOUT
            message = f"no whole answer within {self._settings.timeout:g} s"
        else:
            return Read(reading, self._clock.monotonic() - started, len(body))
        return ScrapeFailure(failure, message, self._clock.monotonic() - started)

    async def close(self) -> None:
        """Nothing stays open between scrapes."""

    async def _get(self, target: Target) -> bytes:
        refused = (
            refusal(target.address, allow_loopback=self._settings.allow_loopback)
            or port_refusal(target.port)
            or path_refusal(target.path)
        )
        if refused is not None:
            raise AnswerError(Failure.ADDRESS_REFUSED, f"{refused}: not contacted")
        request = self._request(target)
        loop = asyncio.get_running_loop()
        try:
            connection = await _connect(loop, target)
        except TimeoutError:
            # The kernel's own ETIMEDOUT and the deadline read alike, and are.
            raise
        except OSError as error:
            message = _CONNECT_MESSAGES.get(error.errno or 0, "could not connect to the agent")
            raise AnswerError(Failure.CONNECTION_FAILED, message) from error
        try:
            return await _exchange(loop, connection, request, ResponseReader(self._settings.bounds))
        except TimeoutError:
            raise
        except OSError as error:
            raise AnswerError(
                Failure.DISCONNECTED, "the connection broke before the answer was whole"
            ) from error
        finally:
            connection.close()

    def _request(self, target: Target) -> bytes:
        host = f"[{target.address}]" if ":" in target.address else target.address
        head = f"GET {target.path} HTTP/1.1\r\nHost: {host}:{target.port}{self._request_tail}"
        if self._token is not None:
            try:
                head += f"\r\nAuthorization: Bearer {self._token.value()}"
            except TokenUnreadable as error:
                raise AnswerError(Failure.CONNECTION_FAILED, str(error)) from error
        return f"{head}\r\n\r\n".encode("ascii")


async def _connect(loop: asyncio.AbstractEventLoop, target: Target) -> socket.socket:
    sockaddr: tuple[str, int] | tuple[str, int, int, int]
    if ":" in target.address:
        family, sockaddr = socket.AF_INET6, (target.address, target.port, 0, 0)
    else:
        family, sockaddr = socket.AF_INET, (target.address, target.port)
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await loop.sock_connect(connection, sockaddr)
    except BaseException:
        connection.close()
        raise
    return connection


async def _exchange(
    loop: asyncio.AbstractEventLoop,
    connection: socket.socket,
    request: bytes,
    reader: ResponseReader,
) -> bytes:
    await loop.sock_sendall(connection, request)
    while True:
        data = await loop.sock_recv(connection, _READ_SIZE)
        if not data:
            return reader.end()
        body = reader.feed(data)
        if body is not None:
            return body
