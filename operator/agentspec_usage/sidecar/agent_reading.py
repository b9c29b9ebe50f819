"""Reading the agent's own usage, for agents whose SDK sends no frames.

What it shows are totals and no calls, so they join the ledger as another side's totals. A snapshot
of an SDK whose frames come here says so itself and is left alone; one in AgentSpec's dialect, a
window without an instance, cannot be joined and is left alone too.
"""

from __future__ import annotations

import asyncio
import logging
from ipaddress import ip_address
from urllib.parse import urlsplit

from agentspec_usage.errors import SettingsError
from agentspec_usage.scrape.outcome import ScrapeFailure, Scraper, Target
from agentspec_usage.sidecar.calls import TotalsSink

__all__ = ["AgentReading", "agent_target"]

logger = logging.getLogger(__name__)


def agent_target(url: str) -> Target:
    """Where the agent's usage is. Raises SettingsError for an address outside the pod."""
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
    try:
        inside = ip_address(host).is_loopback
        port = parts.port
    except ValueError:
        inside, port = False, None
    if parts.scheme != "http" or not inside or port is None or parts.query:
        raise SettingsError(
            f"agent_url {url!r}: expected http://127.0.0.1:PORT/PATH, an address of this pod"
        )
    return Target(host, port, parts.path or "/agentspec/usage")


class AgentReading:
    """Reads ``target`` every ``interval`` seconds."""

    def __init__(self, scraper: Scraper, target: Target, sink: TotalsSink, interval: float) -> None:
        self._scraper = scraper
        self._target = target
        self._sink = sink
        self._interval = interval
        self._said = ""

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(self._interval)

    async def read(self) -> None:
        """Once. A failure is said when it begins and when it ends."""
        outcome = await self._scraper.scrape(self._target)
        problem = outcome.message if isinstance(outcome, ScrapeFailure) else ""
        if problem != self._said:
            self._said = problem
            logger.info("reading the agent's usage", extra={"problem": problem})
        if isinstance(outcome, ScrapeFailure):
            return
        for snapshot in outcome.reading.snapshots:
            self._sink.see(snapshot)
