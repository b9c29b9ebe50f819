"""What the connections of one proxy share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from agentspec_usage.sidecar.proxy.pool import UpstreamPool
from agentspec_usage.sidecar.proxy.routing import Routes
from agentspec_usage.sidecar.proxy.settings import ProxySettings
from agentspec_usage.sidecar.proxy.usage_asking import UsageAsking
from agentspec_usage.sidecar.proxy.watch import Metering

__all__ = ["Connected", "ProxyParts", "Room", "Swept"]


class Swept(Protocol):
    """What has deadlines and can be ended. One timer looks at all of them: a timer for each request
    would be made and cancelled a thousand times for each one that fires.
    """

    def check(self, now: float) -> None:
        """Give up what has waited for too long at ``now``, in seconds of the monotonic clock."""
        ...

    def cut(self) -> None:
        """End now: this program does. The second time without sending what is left to send."""
        ...


class Room:
    """Bytes of requests that may be held back at once, all together."""

    __slots__ = ("_left",)

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> bool:
        """Whether there is room for ``size`` more; it is to be given back."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        self._left += size


class Connected(Swept, Protocol):
    """A client."""

    def stop(self) -> None:
        """End at once where no request is under way."""
        ...


@dataclass(slots=True)
class ProxyParts:
    """``clients``: who is connected. ``abandoned``: exchanges that go on without their client.
    ``connecting``: connections being made, which are kept where their request is gone by then.
    ``stopping``: no further request is taken.
    """

    settings: ProxySettings
    routes: Routes
    pool: UpstreamPool
    metering: Metering
    asking: UsageAsking
    room: Room
    clients: set[Connected] = field(default_factory=set)
    abandoned: set[Swept] = field(default_factory=set)
    connecting: set[asyncio.Task[None]] = field(default_factory=set)
    stopping: bool = False
    quiet: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nobody is connected any more, while stopping."""

    def left(self, client: Connected) -> None:
        """A client is gone."""
        self.clients.discard(client)
        self.settle()

    def finished(self, exchange: Swept) -> None:
        """An exchange is over, an abandoned one perhaps."""
        self.abandoned.discard(exchange)
        self.settle()

    def settle(self) -> None:
        if self.stopping and not self.clients and not self.abandoned:
            self.quiet.set()
