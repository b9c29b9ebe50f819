"""Connections to upstreams: made verified, kept for the next request, last in first out.

Nothing is taken from the environment: no proxy, no authority, no address but the configuration's.
A kept connection is dropped before the upstream may drop it, and asked once more whether it lives
when it is taken.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from pathlib import Path

from agentspec_usage.errors import SettingsError
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.proxy.routing import Origin
from agentspec_usage.sidecar.proxy.settings import ProxySettings
from agentspec_usage.sidecar.proxy.upstream_connection import UpstreamConnection

__all__ = ["UpstreamPool", "verifying_context"]

_NEXT_ADDRESS_AFTER = 0.25
"""Seconds until another address of the same host is tried beside the first (RFC 8305)."""


def verifying_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS that verifies: by the system's authorities, or those of ``ca_file`` alone."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{ca_file}: expected a file of PEM certificates") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


class UpstreamPool:
    """The idle connections by origin, and how new ones are made."""

    __slots__ = ("_clock", "_closed", "_idle", "_settings", "_tls")

    def __init__(self, settings: ProxySettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._closed = False
        self._tls = verifying_context(settings.ca_file)
        self._idle: defaultdict[Origin, list[UpstreamConnection]] = defaultdict(list)

    def take(self, origin: Origin) -> UpstreamConnection | None:
        """A living idle connection, or None."""
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if connection.is_alive():
                return connection
            connection.abort()
        return None

    async def connect(self, origin: Origin) -> UpstreamConnection:
        """A new connection. Raises OSError (TimeoutError and TLS errors are)."""
        async with asyncio.timeout(self._settings.timeouts.connect):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: UpstreamConnection(origin, self._settings.limits.head),
                origin.host,
                origin.port,
                ssl=self._tls if origin.tls else None,
                happy_eyeballs_delay=_NEXT_ADDRESS_AFTER,
            )
            return connection

    def give(self, connection: UpstreamConnection) -> None:
        """Keep a connection that carries nothing any longer, if it can carry another exchange."""
        idle = self._idle[connection.origin]
        most = self._settings.limits.idle_upstream_connections
        if not connection.let_go() or len(idle) >= most or self._closed:
            connection.close()
            return
        connection.idle_since = self._clock.monotonic()
        idle.append(connection)

    def drop_idle(self, now: float) -> None:
        """Close what has been idle for too long."""
        for origin, idle in self._idle.items():
            fresh = [c for c in idle if now - c.idle_since < self._settings.timeouts.idle_upstream]
            for connection in idle[: len(idle) - len(fresh)]:
                connection.close()
            self._idle[origin] = fresh

    def close(self) -> None:
        """Nothing is kept any longer."""
        self._closed = True
        for idle in self._idle.values():
            while idle:
                idle.pop().abort()
