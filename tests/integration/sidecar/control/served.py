"""The control port on loopback, served by uvicorn as the program does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import uvicorn

from agentspec_usage.sidecar.control.app import build_control_app
from agentspec_usage.sidecar.control.parts import ControlBounds
from tests.unit.sidecar.control.ports import Sidecar

__all__ = ["Served", "eventually", "served"]


class Served:
    """A control port that listens."""

    def __init__(self, server: uvicorn.Server, listener: socket.socket) -> None:
        self.server = server
        self.port = int(listener.getsockname()[1])
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=20)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The tests keep their signals."""
        yield


@asynccontextmanager
async def served(sidecar: Sidecar, bounds: ControlBounds | None = None) -> AsyncIterator[Served]:
    """Serves until the end of the block, then stops in the order of the program."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = build_control_app(sidecar.parts, bounds or ControlBounds())
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    control = Served(server, listener)
    try:
        async with control.http:
            yield control
    finally:
        sidecar.audit.feed.close()
        server.should_exit = True
        async with asyncio.timeout(20):
            await running


async def eventually(look: Callable[[], object], what: str, *, deadline: float = 20.0) -> None:
    """Return when ``look`` is true; after ``deadline`` seconds an AssertionError says ``what``."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    while not look():
        assert loop.time() < end, f"not within {deadline:g} s: {what}"
        await asyncio.sleep(0.01)
