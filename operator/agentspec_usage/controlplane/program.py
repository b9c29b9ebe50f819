"""The control plane's life: open the store, serve, and stop in the order that loses nothing.

Stop (SIGTERM): no new connections, requests under way are answered, then the store writes what
waits and lets go of its file. Whoever got an answer has it on the disk already; whoever got none
sends again.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from agentspec_usage import __version__
from agentspec_usage.controlplane.app import build_app
from agentspec_usage.controlplane.checkpoints import Checkpoints
from agentspec_usage.controlplane.metrics import Metrics
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.errors import SettingsError
from agentspec_usage.pricebook.opening import open_price_book
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.runtime.ids import draw_128_bits
from agentspec_usage.store.proof.signing import read_signer
from agentspec_usage.store.sqlite.store import SqliteStore

__all__ = ["run_control_plane"]

logger = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS = 75
"""Longer than two intervals of a reporter, so that its connection is still there."""

_BACKLOG = 2048
_LARGEST_HEAD = 16 * 1024


def run_control_plane(settings: ControlPlaneSettings, admin_key: str) -> int:
    """Serve until SIGTERM or SIGINT. The exit code: 0 for a stop that was asked for."""
    signer = read_signer(Path(settings.signing_key_file)) if settings.signing_key_file else None
    book = open_price_book(settings.price_book)
    listener = _listen(settings.address, settings.port)
    try:
        store = SqliteStore(Path(settings.database), book=book)
    except BaseException:
        listener.close()
        raise
    try:
        metrics = Metrics(CollectorRegistry())
        clock = SystemClock()
        app = build_app(store, clock, draw_128_bits, admin_key, metrics, settings)
        if not admin_key:
            logger.warning("no admin key is set: agents cannot be registered or listed")
        file = Path(settings.checkpoint_file) if settings.checkpoint_file else None
        checkpoints = None if signer is None else Checkpoints(store, signer, clock, file)
        return asyncio.run(_run(app, listener, settings, checkpoints))
    finally:
        store.close()
        logger.info("control plane stopped")


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off for each connection; without it
    # every answer waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
        return listener
    except OSError as error:
        listener.close()
        raise SettingsError(f"{address}:{port}: {error.strerror}") from error


async def _run(
    app: Starlette,
    listener: socket.socket,
    settings: ControlPlaneSettings,
    checkpoints: Checkpoints | None,
) -> int:
    if checkpoints is None:
        return await _serve(app, listener, settings)
    signing = asyncio.create_task(checkpoints.run(settings.checkpoint_interval))
    try:
        return await _serve(app, listener, settings)
    finally:
        signing.cancel()
        await asyncio.gather(signing, return_exceptions=True)
        # Nothing is stored any more: what was stored last is signed too.
        await checkpoints.sign()


async def _serve(app: Starlette, listener: socket.socket, settings: ControlPlaneSettings) -> int:
    server = _Server(
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
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=settings.stop_timeout,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    address, port = listener.getsockname()[:2]
    shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    logger.info(
        "control plane started",
        extra={"version": __version__, "address": shown, "database": settings.database},
    )
    await server.serve(sockets=[listener])
    return 0


class _Server(uvicorn.Server):
    """uvicorn, which ends when this program says so."""

    def stop(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are this program's: uvicorn would raise them again before the store is closed."""
        yield
