"""The control port's server: uvicorn, which begins and ends when this program says so."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from agentspec_usage.errors import SettingsError

__all__ = ["ControlServer", "listen"]

_BACKLOG = 256
_LARGEST_HEAD = 16 * 1024
_MOST_AT_ONCE = 128
_KEEP_ALIVE_SECONDS = 75
"""Longer than two intervals of a scrape or a reporter, so that its connection is still there."""

_LAST_ANSWERS_SECONDS = 3


def listen(address: str, port: int) -> socket.socket:
    """A listening socket. Raises SettingsError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off for each connection; without it
    # every answer waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(f"{address}:{port}: {error.strerror}") from error
    return listener


class ControlServer:
    """Serves ``app`` on ``listener`` between ``start`` and ``stop``."""

    def __init__(self, app: Starlette, listener: socket.socket) -> None:
        self._listener = listener
        self._server = _Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_MOST_AT_ONCE,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
                h11_max_incomplete_event_size=_LARGEST_HEAD,
            )
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(
            self._server.serve(sockets=[self._listener]), name="agentspec-usage-control"
        )

    async def stop(self) -> None:
        """Answer what was asked, then close."""
        if self._task is not None:
            self._server.should_exit = True
            await asyncio.wait({self._task})
            self._task = None


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the program's: uvicorn would raise them again with the ledger still open."""
        yield
