"""The sidecar's program: its parts put together, from the first call to the last word.

The order of the beginning: the ledger is open before anything can be counted, and the ports open
last. The order of the end, on SIGTERM:

1. no new requests; those under way have their time, and what is cut then is counted as such;
2. the instance ends, and what it counted is sent with ``final: true``;
3. everything kept is flushed, and the control port, which showed all of it to the last, closes.

Why the end may be said although a container can be restarted within its pod (a failing probe sends
SIGTERM too, and nothing tells the two apart): an instance that said its end is never gone on with.
A restart finds that in the file and begins another instance, with all that is known of the pod's
calls; so the end is always true. A killed sidecar said nothing, and its instance goes on.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence
from pathlib import Path

from agentspec_usage import __version__
from agentspec_usage.delivery.sender import SenderStats
from agentspec_usage.errors import SettingsError
from agentspec_usage.extraction.providers import table_name
from agentspec_usage.runtime.clock import Clock, SystemClock
from agentspec_usage.runtime.ids import draw_128_bits, new_instance_id
from agentspec_usage.scrape.http import HttpScraper, ScrapeSettings
from agentspec_usage.sidecar.agent_reading import AgentReading, agent_target
from agentspec_usage.sidecar.audit.early import EarlyEvents
from agentspec_usage.sidecar.audit.feed import AuditFeed
from agentspec_usage.sidecar.audit.log import Audit
from agentspec_usage.sidecar.audit.ring import AuditRing
from agentspec_usage.sidecar.audit.totals import EventTotals
from agentspec_usage.sidecar.budget.file import SpendingFile
from agentspec_usage.sidecar.budget.limits import BudgetLimits
from agentspec_usage.sidecar.budget.pod import PodBudget
from agentspec_usage.sidecar.calls import ExchangeObserver
from agentspec_usage.sidecar.control.app import build_control_app
from agentspec_usage.sidecar.control.parts import ControlParts
from agentspec_usage.sidecar.control_server import ControlServer, listen
from agentspec_usage.sidecar.forwarding import Forwarding, forwarding_to
from agentspec_usage.sidecar.frame_intake import LedgerFrames
from agentspec_usage.sidecar.ledger.keeper import LedgerKeeper
from agentspec_usage.sidecar.metrics.exchanges import ExchangeMetrics
from agentspec_usage.sidecar.metrics.registry import new_registry, watch_parts
from agentspec_usage.sidecar.pod_meter import PodMeter
from agentspec_usage.sidecar.pod_usage import LedgerTotals, LedgerView
from agentspec_usage.sidecar.proxy import ProxyServer
from agentspec_usage.sidecar.proxy.settings import ProxySettings, Upstream
from agentspec_usage.sidecar.settings import SidecarSettings
from agentspec_usage.sidecar.upstreams import read_upstreams, upstream_url
from agentspec_usage.sidecar.usage_log.log import open_usage_log
from agentspec_usage.wire.usage import decode_usage

__all__ = ["run_sidecar"]

logger = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TICK_SECONDS = 2.0


def run_sidecar(settings: SidecarSettings, api_key: str) -> int:
    """Run until SIGTERM or SIGINT. The exit code: 0 for a stop that was asked for."""
    upstreams, limits = _upstreams(settings)
    _warn_of_unknown(upstreams)
    if settings.control_plane_url:
        _checked("control_plane_url", settings.control_plane_url)
    target = agent_target(settings.agent_url) if settings.agent_url else None
    clock = SystemClock()
    keeper = LedgerKeeper(
        Path(settings.ledger_dir) if settings.ledger_dir else None,
        _boot_id(),
        clock,
        new_instance_id,
        forwarded=bool(settings.control_plane_url),
    )
    keeper.open()
    try:
        sidecar = Sidecar(settings, upstreams, limits, keeper, clock, api_key)
        reading = None
        if target is not None:
            scraper = HttpScraper(ScrapeSettings(allow_loopback=True), decode_usage, clock)
            reading = AgentReading(scraper, target, sidecar.totals, settings.agent_interval)
        asyncio.run(sidecar.run(reading))
    finally:
        keeper.close()
    return 0


class Sidecar:
    """The parts of one pod's sidecar."""

    def __init__(
        self,
        settings: SidecarSettings,
        upstreams: tuple[Upstream, ...],
        limits: BudgetLimits | None,
        keeper: LedgerKeeper,
        clock: Clock,
        api_key: str,
    ) -> None:
        self._settings = settings
        self._keeper = keeper
        self._forwarding: Forwarding | None = None
        self._forwarding_to = (
            forwarding_to(settings.control_plane_url, api_key, settings.heartbeat_interval, clock)
            if settings.control_plane_url
            else None
        )
        self.totals = LedgerTotals(keeper)
        self._frames = LedgerFrames(keeper)
        self._audit = Audit(
            AuditRing(settings.audit_ring_size),
            EarlyEvents(),
            AuditFeed(),
            EventTotals(self.totals, clock, new_instance_id()),
            clock,
        )
        self._usage_log = (
            open_usage_log(
                Path(settings.token_log_dir),
                clock,
                max_bytes=settings.token_log_bytes,
                kept=settings.token_log_files,
            )
            if settings.token_log_dir
            else None
        )
        kept = SpendingFile(Path(settings.ledger_dir) / "budget") if settings.ledger_dir else None
        self._budget = (
            PodBudget(limits, kept, clock, self._audit.announce)
            if limits is not None and limits.thresholds()
            else None
        )
        registry = new_registry()
        metrics = ExchangeMetrics(registry)
        view = LedgerView(keeper, clock, self._delivery)
        watch_parts(registry, view, self._audit, self._usage_log, self._budget)
        observers: list[ExchangeObserver] = [self._audit, metrics]
        if self._usage_log is not None:
            observers.append(self._usage_log)
        self._proxy = ProxyServer(
            ProxySettings(
                upstreams,
                Path(settings.ca_file) if settings.ca_file else None,
                settings.drain_abandoned,
            ),
            PodMeter(keeper, self._budget, observers),
            clock,
            draw_128_bits,
        )
        self._app = build_control_app(
            ControlParts(
                view, self._frames, self._audit, registry, clock, self._usage_log, self._budget
            )
        )

    async def run(self, reading: AgentReading | None) -> None:
        """From the first call to the last word."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        settings = self._settings
        listener = listen(settings.control_address, settings.control_port)
        control = ControlServer(self._app, listener)
        control_port = listener.getsockname()[1]
        try:
            proxy_port = await self._proxy.start(settings.proxy_address, settings.proxy_port)
        except OSError as error:
            listener.close()
            raise SettingsError(
                f"{settings.proxy_address}:{settings.proxy_port}: {error.strerror}"
            ) from error
        control.start()
        if self._forwarding_to is not None:
            self._forwarding = self._forwarding_to(self._keeper)
            self._forwarding.start()
        tasks = [asyncio.create_task(self._tick_on(), name="agentspec-usage-ledger")]
        if reading is not None:
            tasks.append(asyncio.create_task(reading.run(), name="agentspec-usage-agent"))
        for task in tasks:
            task.add_done_callback(_tell_of_failure)
        logger.info(
            "sidecar started",
            extra={
                "version": __version__,
                "proxy": proxy_port,
                "control": control_port,
                "instance": self._keeper.account.instance_id,
            },
        )
        await stopped.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._end(control)

    def _delivery(self) -> SenderStats | None:
        return None if self._forwarding is None else self._forwarding.stats

    async def _tick_on(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            await self._keeper.tick()

    async def _end(self, control: ControlServer) -> None:
        await self._proxy.stop(self._settings.stop_timeout)
        self._frames.close()
        self._keeper.end_instance()
        delivered = True
        if self._forwarding is not None:
            delivered = await self._forwarding.stop(self._settings.delivery_timeout)
        self._audit.feed.close()
        await control.stop()
        if self._budget is not None:
            self._budget.close()
        if self._usage_log is not None:
            await asyncio.to_thread(self._usage_log.close)
        self._keeper.note_acknowledged()
        await self._keeper.sync()
        logger.info("sidecar stopped", extra={"delivered": delivered})


def _tell_of_failure(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        logger.error("a task failed", extra={"task": task.get_name()}, exc_info=error)


def _upstreams(settings: SidecarSettings) -> tuple[tuple[Upstream, ...], BudgetLimits | None]:
    if settings.upstreams_file:
        file = read_upstreams(Path(settings.upstreams_file))
        return tuple(entry.upstream() for entry in file.upstreams), file.budgets
    url = _checked("upstream_url", settings.upstream_url)
    return (Upstream(settings.upstream_provider, url),), None


def _checked(name: str, url: str) -> str:
    try:
        return upstream_url(url)
    except ValueError as error:
        # Not the address itself: what is wrong with it may be the password in it.
        raise SettingsError(f"{name}: {error}") from error


def _warn_of_unknown(upstreams: Sequence[Upstream]) -> None:
    for upstream in upstreams:
        if not table_name(upstream.provider):
            logger.warning(
                "a provider that no table knows: its answers are read as OpenAI's shape",
                extra={"provider": upstream.provider, "prefix": upstream.prefix},
            )


def _boot_id() -> str:
    """Which run of the machine this is, "" where the system does not tell."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
