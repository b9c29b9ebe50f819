"""The proxy: listens, watches the time, and ends without breaking what can still be finished."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from agentspec_usage.extraction.framing import NewDecoder
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.calls import CallMeter
from agentspec_usage.sidecar.decoding import DECODERS
from agentspec_usage.sidecar.proxy.client_connection import ClientConnection
from agentspec_usage.sidecar.proxy.parts import ProxyParts, Room
from agentspec_usage.sidecar.proxy.pool import UpstreamPool
from agentspec_usage.sidecar.proxy.routing import Routes
from agentspec_usage.sidecar.proxy.settings import ProxySettings
from agentspec_usage.sidecar.proxy.usage_asking import UsageAsking
from agentspec_usage.sidecar.proxy.watch import Metering

__all__ = ["ProxyServer"]

_BACKLOG = 1024
_LAST_BYTES_SECONDS = 1.0
"""For what was written before a cut to leave."""


class ProxyServer:
    """Raises SettingsError for upstreams that lead nowhere and a CA file that is none.

    ``draw_id`` gives each request its name, ``decoders`` undo the content codings of copies.
    """

    def __init__(
        self,
        settings: ProxySettings,
        meter: CallMeter,
        clock: Clock,
        draw_id: Callable[[], str],
        decoders: Mapping[str, NewDecoder] = DECODERS,
    ) -> None:
        self._clock = clock
        self._parts = ProxyParts(
            settings=settings,
            routes=Routes(settings.upstreams),
            pool=UpstreamPool(settings, clock),
            metering=Metering(meter, clock, draw_id, decoders),
            asking=UsageAsking(clock),
            room=Room(settings.limits.held_bodies),
        )
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def faults(self) -> int:
        """How many faults of metering ended at the shield."""
        return self._parts.metering.shield.faults

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._parts.clients)

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one for 0. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ClientConnection(self._parts), host, port, backlog=_BACKLOG
        )
        self._check()
        listening: int = self._server.sockets[0].getsockname()[1]
        return listening

    async def stop(self, grace: float) -> None:
        """No new connections and requests; what is under way has ``grace`` seconds, then it is cut
        and told as ended by the shutdown.
        """
        parts = self._parts
        parts.stopping = True
        if self._server is not None:
            self._server.close()
        for client in list(parts.clients):
            client.stop()
        parts.settle()
        if not await self._quiet_within(grace):
            self._cut()
            if not await self._quiet_within(_LAST_BYTES_SECONDS):
                self._cut()
                await parts.quiet.wait()
        if self._sweep is not None:
            self._sweep.cancel()
        parts.pool.close()

    async def _quiet_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._parts.quiet.wait()
        except TimeoutError:
            return False
        return True

    def _cut(self) -> None:
        for under_way in [*self._parts.abandoned, *self._parts.clients]:
            under_way.cut()

    def _check(self) -> None:
        now = self._clock.monotonic()
        for watched in [*self._parts.clients, *self._parts.abandoned]:
            watched.check(now)
        self._parts.pool.drop_idle(now)
        self._sweep = asyncio.get_running_loop().call_later(
            self._parts.settings.sweep_seconds, self._check
        )
