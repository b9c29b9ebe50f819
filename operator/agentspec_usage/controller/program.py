"""The operator's life: connect, wait for the Lease, watch, work, and stop in the order that loses
nothing.

Start: the pods are listed first, then the objects; the first tick runs when both are known, because
an object is resolved against the pods, and of two objects that select one pod the older one counts
it.

Stop (SIGTERM): no new ticks, the running ones end; what is dirty is written; then kopf ends, and
the Lease is released last, so that the next leader reads what this one wrote. kopf cancels every
task that was created after it started, so it ends after everything that must end by itself.

Losing the Lease, or kopf, or the pod watch ends the process with an exit code: the pod starts anew
from what the status holds, which is less to reason about than a half-stopped program.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import kopf
from prometheus_client import CollectorRegistry

from agentspec_usage import __version__
from agentspec_usage.controller.assembly import Parts, assemble
from agentspec_usage.controller.health import HealthServer
from agentspec_usage.controller.heartbeats import Heartbeats, watch_loop
from agentspec_usage.controller.kube import KubeApi
from agentspec_usage.controller.metrics import Metrics
from agentspec_usage.controller.notes import Notes
from agentspec_usage.controller.pump import register, watch_settings
from agentspec_usage.controller.sealing_since import sealing_since
from agentspec_usage.controller.settings import OperatorSettings
from agentspec_usage.kube.access import Access, connect
from agentspec_usage.kube.http import KubeHttp
from agentspec_usage.kube.lease import Elector, LeaseTerms
from agentspec_usage.pricebook.opening import open_price_book
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.runtime.clock import Clock, SystemClock
from agentspec_usage.wire.writer_state_seal import SealKeys

__all__ = ["run_operator"]

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 15.0
"""Of the 30 seconds that Kubernetes gives: the rest is for the running ticks and for kopf."""

_HAND_IN_SECONDS = 3.0
"""For the control plane to take what was read last, and to say what it costs."""

_REREAD_SECONDS = 3.0
"""For what met a conflict at the very end: to read it again, and to write it."""

_KNOWN_WITHIN = 120.0
"""Seconds for kopf to show every object that a LIST shows; then the work begins with what is known.
"""


def run_operator(settings: OperatorSettings, seal_keys: SealKeys | None) -> int:
    """Run until SIGTERM or SIGINT. The exit code: 0 for a stop that was asked for.

    Without ``seal_keys`` statuses are not sealed.
    Raises ``SettingsError`` for a price book that cannot be used.
    """
    book = open_price_book(settings.price_book)
    return asyncio.run(_Program(settings, book, seal_keys).run())


class _Program:
    def __init__(
        self, settings: OperatorSettings, book: PriceBook, seal_keys: SealKeys | None
    ) -> None:
        self._settings = settings
        self._book = book
        self._seal_keys = seal_keys
        self._clock: Clock = SystemClock()
        self._heartbeats = Heartbeats(self._clock)
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry)
        self._stop = asyncio.Event()
        self._failed = False
        self._waiting_for = ""

    async def run(self) -> int:
        self._take_signals()
        settings = self._settings
        access = await connect(Path(settings.kubeconfig) if settings.kubeconfig else None)
        http = KubeHttp(
            access,
            user_agent=f"agentspec-usage-operator/{__version__}",
            on_request=self._metrics.request_answered,
        )
        health = HealthServer(
            settings.health_address,
            settings.health_port,
            heartbeats=self._heartbeats,
            ready={"work": self._unready},
            registry=self._registry,
        )
        health.start()
        logger.info(
            "operator started",
            extra={
                "version": __version__,
                "prices": self._book.version,
                "identity": settings.identity,
                "health": f"{settings.health_address}:{health.port}",
                "seal": self._seal_keys.current.id if self._seal_keys is not None else None,
            },
        )
        if self._seal_keys is None:
            logger.warning(
                "there is no seal key: whoever may write a status can change what it counts"
            )
        try:
            await self._lead_and_work(access, KubeApi(http))
        finally:
            await http.close()
            health.stop()
        logger.info("operator stopped", extra={"failed": self._failed})
        return 1 if self._failed else 0

    def _take_signals(self) -> None:
        """Ours, and not kopf's, which would end the watch before anything was flushed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _unready(self) -> str | None:
        return self._waiting_for or None

    async def _lead_and_work(self, access: Access, kube: KubeApi) -> None:
        settings = self._settings
        if not settings.leader_elect:
            self._metrics.leading.set(1)
            await self._work(access, kube, Notes())
            return
        elector = Elector(
            kube,
            LeaseTerms(settings.lease_namespace, settings.lease_name, settings.identity),
            self._clock,
            on_turn=self._heartbeats.expect("lease", 15.0),
        )
        if not await self._before_stop(elector.lead()):
            return
        self._metrics.leading.set(1)
        watcher = asyncio.create_task(self._fail_when(elector.lost, "the lease was lost"))
        try:
            since = await sealing_since(
                self._seal_keys,
                kube,
                settings.lease_namespace,
                settings.lease_name,
                highest_version=lambda: _highest_version(kube, settings.namespaces),
            )
            await self._work(access, kube, Notes(self._seal_keys, since))
        finally:
            watcher.cancel()
            self._metrics.leading.set(0)
            await elector.release()

    async def _work(self, access: Access, kube: KubeApi, notes: Notes) -> None:
        parts = assemble(
            self._settings,
            book=self._book,
            notes=notes,
            kube=kube,
            clock=self._clock,
            metrics=self._metrics,
            heartbeats=self._heartbeats,
        )
        self._metrics.watch_parts(parts.register, parts.pod_watch, parts.writer, parts.scheduler)
        background = [
            parts.pod_watch.run(),
            parts.rereader.run(),
            watch_loop(
                self._clock, self._heartbeats.expect("event-loop", 5.0), self._metrics.loop_lag
            ),
        ]
        if parts.handing_in is not None:
            self._metrics.watch_control_plane(parts.handing_in.sender)
            background.append(parts.handing_in.run())
        writer_stop = asyncio.Event()
        async with self._running(background):
            writing = asyncio.create_task(parts.writer.run(writer_stop), name="writer")
            self._waiting_for = "the pods have not been listed yet"
            if await self._before_stop(parts.pod_watch.synced.wait()):
                async with self._kopf(access, parts):
                    self._waiting_for = "the objects have not been listed yet"
                    if await self._before_stop(self._know_all(parts, kube)):
                        self._waiting_for = ""
                        _spare_the_collector()
                        await self._tick_until_stop(parts)
                    if not self._failed:
                        await self._flush(parts)
            writer_stop.set()
            await writing
        await parts.scraper.close()
        if parts.handing_in is not None:
            await parts.handing_in.close()

    async def _flush(self, parts: Parts) -> None:
        """Write what is dirty; what met a conflict is read again and then written as well.

        What was read last is handed in first: it may be the last word of a pod that has ended.
        """
        if parts.handing_in is not None:
            await parts.handing_in.drained(_HAND_IN_SECONDS)
        await parts.writer.flush(_FLUSH_SECONDS)
        await parts.rereader.drained(_REREAD_SECONDS)
        await parts.writer.flush(_REREAD_SECONDS)

    async def _tick_until_stop(self, parts: Parts) -> None:
        """Schedule and sweep; returns when the last running tick has ended."""
        parts.pod_events.listen()
        sweeping = asyncio.create_task(parts.sweep.run(self._settings.sweep_interval))
        try:
            await parts.scheduler.run(self._stop)
        finally:
            sweeping.cancel()

    async def _know_all(self, parts: Parts, kube: KubeApi) -> None:
        """Wait until kopf has shown every object that a LIST shows now."""
        listed = await kube.list_observation_metadata(self._settings.namespaces)
        missing = {str(entry["metadata"]["uid"]) for entry in listed}
        deadline = self._clock.monotonic() + _KNOWN_WITHIN
        while self._clock.monotonic() < deadline:
            missing = {uid for uid in missing if parts.register.get(uid) is None}
            if not missing:
                return
            await asyncio.sleep(0.05)
        logger.warning("the watch did not show every object", extra={"objects": len(missing)})

    @asynccontextmanager
    async def _kopf(self, access: Access, parts: Parts) -> AsyncIterator[None]:
        """kopf's watch while the block runs; if it ends by itself, so does the program."""
        registry = kopf.OperatorRegistry()
        register(
            registry,
            intake=parts.intake,
            credentials=lambda: _connection(access, self._clock.now()),
            on_event=self._metrics.watch_events.inc,
        )
        ready, stop = asyncio.Event(), asyncio.Event()
        watching = asyncio.create_task(
            kopf.operator(
                registry=registry,
                settings=watch_settings(),
                namespaces=self._settings.namespaces,
                clusterwide=not self._settings.namespaces,
                standalone=True,
                ready_flag=ready,
                stop_flag=stop,
            ),
            name="kopf",
        )

        def ended(_: asyncio.Task[None]) -> None:
            if not stop.is_set():
                self._fail("kopf has ended")

        watching.add_done_callback(ended)
        await self._before_stop(ready.wait())
        self._take_signals()
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(watching, return_exceptions=True)

    @asynccontextmanager
    async def _running(self, works: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
        """Works that run as long as the block; one that ends by itself ends the program."""
        tasks = [asyncio.create_task(work) for work in works]
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            yield
        finally:
            for task in tasks:
                task.remove_done_callback(self._ended)
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _before_stop(self, wanted: Awaitable[object]) -> bool:
        """Wait for ``wanted``, but not beyond a stop. Whether it came; what it raises is raised."""
        waiting = asyncio.ensure_future(wanted)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                return False
            waiting.result()
            return True
        finally:
            for task in (waiting, stopping):
                task.cancel()
            await asyncio.gather(waiting, stopping, return_exceptions=True)

    async def _fail_when(self, event: asyncio.Event, why: str) -> None:
        await event.wait()
        self._fail(why)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._fail(f"{task.get_coro()} ended", task.exception())

    def _fail(self, why: str, error: BaseException | None = None) -> None:
        logger.error("the operator stops", extra={"reason": why}, exc_info=error)
        self._failed = True
        self._stop.set()


async def _highest_version(kube: KubeApi, namespaces: Sequence[str]) -> int:
    listed = await kube.list_observation_metadata(namespaces)
    return max((int(entry["metadata"]["resourceVersion"]) for entry in listed), default=0)


def _spare_the_collector() -> None:
    """Take what was loaded out of the cyclic collector's sight.

    Every full collection walks all objects: with thousands of records it stops the loop for a good
    part of a second (0.4-0.9 s were seen at 3,000), for nothing, since records are no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _connection(access: Access, now: int) -> kopf.AiohttpSession:
    """kopf's session: our TLS and credentials. Asked for when refused, and every half hour."""
    authorization = await access.authorization()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=access.ssl_context()),
        headers={"Authorization": authorization} if authorization else {},
        proxy=access.proxy,
    )
    return kopf.AiohttpSession(
        server=access.server,
        aiohttp_session=session,
        expiration=datetime.fromtimestamp(now / 1000, UTC) + timedelta(minutes=30),
    )
