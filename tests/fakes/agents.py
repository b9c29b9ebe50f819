"""Agents as pods have them: real servers, each on a loopback address of its own, that count calls.

``Network`` is where they live: one thread with one event loop beside the test. ``Workers`` is what
an honest agent says: each process has a ledger, and the truth is the sum over every process that
ever lived. ``served`` is what somebody has read so far: an operator may show less than the truth,
and in the end never less than it was served.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.runtime.ids import new_instance_id
from agentspec_usage.wire.usage_encoding import encode_usage
from tests.fakes.raw_agents import Connection, ok

__all__ = ["PORT", "Network", "Workers", "dribbling", "holding"]

PORT = 18474
"""The port of every agent: addresses tell them apart, as pods' do."""

_CLOCK = SystemClock()


class Workers:
    """One agent port: one process, or several that answer in turn as pre-forked workers do.

    ``together`` makes each answer list every process; else an answer is that of one.
    """

    def __init__(self, count: int = 1, *, together: bool = False) -> None:
        self._together = together
        self._lock = threading.Lock()
        self._turn = 0
        self._dead: list[Ledger] = []
        self._living = [_ledger() for _ in range(count)]
        self._served: dict[str, TokenCounts] = {}

    def call(
        self,
        input_tokens: int = 100,
        output_tokens: int = 20,
        *,
        provider: str = "openai",
        model: str = "gpt-4o",
        worker: int = 0,
    ) -> None:
        """One model call of a process."""
        with self._lock:
            ledger = self._living[worker]
        assert ledger.record(
            SeriesKey(provider, model),
            TokenCounts(input=input_tokens, output=output_tokens, calls=1),
        )

    def restart(self) -> None:
        """Every process dies without a word and another starts, with counters at zero."""
        with self._lock:
            self._dead += self._living
            self._living = [_ledger() for _ in self._living]

    @property
    def truth(self) -> TokenCounts:
        """Every token of every process that ever lived."""
        with self._lock:
            ledgers = [*self._dead, *self._living]
        return sum_counts(_read(ledger).totals for ledger in ledgers)

    @property
    def served(self) -> TokenCounts:
        """What went out in answers, of every process the most."""
        with self._lock:
            return sum_counts(self._served.values())

    @property
    def answers(self) -> int:
        """How many answers went out."""
        return self._turn

    def body(self) -> bytes:
        """The answer to the next request."""
        with self._lock:
            self._turn += 1
            chosen = [self._living[self._turn % len(self._living)]]
            snapshots = [_read(ledger) for ledger in (self._living if self._together else chosen)]
            for snapshot in snapshots:
                assert snapshot.instance_id is not None
                self._served[snapshot.instance_id] = snapshot.totals
        return encode_usage(snapshots)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(self.body()))
        await writer.drain()


def _ledger() -> Ledger:
    return Ledger(new_instance_id(), _CLOCK.now())


def _read(ledger: Ledger) -> UsageSnapshot:
    return ledger.snapshot(_CLOCK.now())


def dribbling(answer: bytes) -> Connection:
    """A byte a second."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for position in range(len(answer)):
            writer.write(answer[position : position + 1])
            await writer.drain()
            await asyncio.sleep(1)

    return connection


class holding:
    """An agent that holds its answer back until ``release``; ``asked``: a request has come."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self.asked = threading.Event()
        self._released = threading.Event()

    def release(self) -> None:
        self._released.set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = self._workers.body()
        self.asked.set()
        await asyncio.to_thread(self._released.wait, 30)
        writer.write(ok(body))
        await writer.drain()


class Network:
    """The agents' servers. One stays until ``stop`` of its address, or the end of the block."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agents")
        self._servers: dict[str, asyncio.Server] = {}
        self._open: dict[str, set[asyncio.Task[None]]] = {}
        self._addresses = _addresses()

    def __enter__(self) -> Network:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for address in list(self._servers):
            self.stop(address)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def address(self) -> str:
        """An address that nobody has."""
        return next(self._addresses)

    def serve(self, connection: Connection, address: str | None = None) -> str:
        """Answer at ``address``, or at a new one, from now on; the address."""
        address = address or self.address()
        self._run(self._start(address, connection))
        return address

    def stop(self, address: str) -> None:
        """From now on the address refuses connections; open ones break."""
        self._run(self._end(address))

    async def _start(self, address: str, connection: Connection) -> None:
        tasks = self._open.setdefault(address, set())

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    await connection(reader, writer)
            finally:
                tasks.discard(task)
                writer.close()

        self._servers[address] = await asyncio.start_server(handle, address, PORT)

    async def _end(self, address: str) -> None:
        self._servers.pop(address).close()
        tasks: Sequence[asyncio.Task[None]] = list(self._open.pop(address, ()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, work: Awaitable[None]) -> None:
        async def until_done() -> None:
            await work

        asyncio.run_coroutine_threadsafe(until_done(), self._loop).result(10)


def _addresses() -> Iterator[str]:
    """Loopback addresses, from a random start: another run on this machine has others."""
    second = 2 + secrets.randbelow(250)
    start = secrets.randbelow(200)
    for third in range(start, 256):
        for fourth in range(1, 255):
            yield f"127.{second}.{third}.{fourth}"
