"""The control plane's life: open the store, serve, and stop in the order that loses nothing.

What it does beside serving (signing, what it has in the cluster) goes round by round, and neither
its faults nor an API server that is away are felt by agents.

Stop (SIGTERM): no new connections, requests under way are answered, usage events in memory are
flushed, then the store writes what waits and lets go of its file. Whoever got an answer to frames
has them on the disk already; whoever got none sends again.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from agentspec_usage import __version__
from agentspec_usage.controlplane.app import build_app
from agentspec_usage.controlplane.checkpoints import Checkpoints, Keeper
from agentspec_usage.controlplane.cluster import ClusterApi, open_cluster
from agentspec_usage.controlplane.event_flushing import EventFlushing
from agentspec_usage.controlplane.head_config_map import HeadConfigMap
from agentspec_usage.controlplane.head_file import HeadFile
from agentspec_usage.controlplane.metrics import Metrics
from agentspec_usage.controlplane.operator_gate import OperatorGate
from agentspec_usage.controlplane.remote_agents import show_remote_agents
from agentspec_usage.controlplane.retention import RETENTION_SECONDS, Retention
from agentspec_usage.controlplane.rounds import every
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.controlplane.settling import SETTLE_SECONDS, Settling
from agentspec_usage.controlplane.token_review import KubeTokenReviews
from agentspec_usage.errors import SettingsError
from agentspec_usage.metering.event_buffer import EventBuffer, EventLimits
from agentspec_usage.pricebook.opening import open_price_book
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.runtime.ids import draw_128_bits, new_instance_id
from agentspec_usage.store.opening import open_store, shown_database
from agentspec_usage.store.proof.signing import Signer, read_signer
from agentspec_usage.store.sql.store import SqlStore

__all__ = ["run_control_plane"]

logger = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS = 75
"""Longer than two intervals of a reporter, so that its connection is still there."""

_DRAIN_SECONDS = 5.0
"""How long a stop waits for the store to take the usage events that are in memory."""

_BACKLOG = 2048
_LARGEST_HEAD = 16 * 1024


def run_control_plane(
    settings: ControlPlaneSettings, admin_key: str, operator_key: str = ""
) -> int:
    """Serve until SIGTERM or SIGINT. The exit code: 0 for a stop that was asked for."""
    signer = read_signer(Path(settings.signing_key_file)) if settings.signing_key_file else None
    book = open_price_book(settings.price_book)
    listener = _listen(settings.address, settings.port)
    try:
        store = open_store(settings.database, book=book)
    except BaseException:
        listener.close()
        raise
    try:
        if not admin_key:
            logger.warning("no admin key is set: agents cannot be registered or listed")
        return asyncio.run(_run(store, listener, settings, admin_key, operator_key, signer))
    finally:
        listener.close()
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
    store: SqlStore,
    listener: socket.socket,
    settings: ControlPlaneSettings,
    admin_key: str,
    operator_key: str,
    signer: Signer | None,
) -> int:
    clock = SystemClock()
    metrics = Metrics(CollectorRegistry())
    buffer = EventBuffer(new_instance_id, EventLimits(interval=settings.event_flush_interval))
    flushing = EventFlushing(buffer, store, clock)
    async with AsyncExitStack() as stack:
        cluster = reviews = None
        if settings.uses_cluster:
            http = await stack.enter_async_context(
                open_cluster(settings.kubeconfig, metrics.api_server_answered)
            )
            cluster = ClusterApi(http)
            if settings.operator_service_account:
                reviews = KubeTokenReviews(http, settings.operator_audience)
        accounts = [settings.operator_service_account]
        operators = OperatorGate(clock, operator_key, accounts, reviews)
        app = build_app(
            store, clock, draw_128_bits, admin_key, metrics, settings, flushing, operators
        )
        settling = Settling(store, clock, settings.settle_hours)
        works: list[Coroutine[Any, Any, None]] = [
            every(SETTLE_SECONDS, settling.round, "old tails")
        ]
        if signer is not None:
            keepers = _keepers(settings, cluster)
            checkpoints = Checkpoints(store, signer, clock, keepers, metrics.covered)
            works.append(every(settings.checkpoint_interval, checkpoints.sign, "checkpoints"))
            # Nothing is stored any more then: what was stored last is signed too.
            stack.push_async_callback(checkpoints.sign)
        if settings.retain_months:
            retention = Retention(store, signer, clock, settings.retain_months, settings.zone_info)
            works.append(every(RETENTION_SECONDS, retention.round, "retention"))
        if cluster is not None and settings.remote_namespace:
            works.append(show_remote_agents(settings, store, cluster, clock, metrics))
        await stack.enter_async_context(_beside(works))
        # Stopped before the works: letting go of a Lease waits for an API server that may be away,
        # and events in memory must not wait for that.
        flushing.start()
        stack.push_async_callback(flushing.stop, _DRAIN_SECONDS)
        return await _serve(app, listener, settings)


def _keepers(settings: ControlPlaneSettings, cluster: ClusterApi | None) -> list[Keeper]:
    keepers: list[Keeper] = []
    if settings.checkpoint_file:
        keepers.append(HeadFile(Path(settings.checkpoint_file)))
    if cluster is not None and settings.head_config_map:
        namespace, _, name = settings.head_config_map.partition("/")
        keepers.append(HeadConfigMap(cluster, namespace, name))
    return keepers


@asynccontextmanager
async def _beside(works: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Works that run as long as the block."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
        extra={
            "version": __version__,
            "address": shown,
            "database": shown_database(settings.database),
        },
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
