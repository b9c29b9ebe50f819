"""The floor: the same GETs and as many status patches by a bare asyncio loop with aiohttp.

What an operator costs can be judged only against what the requests alone cost. This loop knows
every agent beforehand, watches nothing, remembers nothing, checks nothing and writes one field; a
GET opens a connection and closes it, as the operator's does, because agents' servers close an idle
one long before the next reading.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from itertools import count

import aiohttp

from bench.child import answer, answer_until_end, first_line
from bench.estate import INTERVAL, PORT, Agent, Api, session_to

_PATIENCE = 0.02


class Floor:
    """Counts of what was done since ``begin``."""

    def __init__(self, agents: list[Agent], to_agents: aiohttp.ClientSession) -> None:
        self.agents = agents
        self._to_agents = to_agents
        self.begin()

    def begin(self) -> None:
        self.scrapes = self.patches = self.failures = 0
        self.lateness: list[float] = []

    def report(self, question: str) -> dict[str, object]:
        found: dict[str, object] = {
            "scrapes": self.scrapes,
            "patches": self.patches,
            "failures": self.failures,
        }
        if len(self.lateness) > 1:
            hundredths = statistics.quantiles(self.lateness, n=100)
            found |= {"p50": hundredths[49], "p99": hundredths[98]}
        if question == "begin":
            self.begin()
        return found

    async def get(self, agent: Agent, late: float) -> None:
        self.lateness.append(late)
        url = f"http://{agent.address}:{PORT}/agentspec/usage"
        async with self._to_agents.get(url, allow_redirects=False) as response:
            json.loads(await response.read())
        self.scrapes += 1


async def patch(session: aiohttp.ClientSession, agent: Agent) -> None:
    """The smallest status write: one field."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    async with session.patch(
        f"{agent.path}/status",
        json={"status": {"lastChecked": now}},
        headers={"Content-Type": "application/merge-patch+json"},
    ) as response:
        await response.read()
        response.raise_for_status()


async def at_rate(
    per_second: float, floor: Floor, work: Callable[[Agent, float], Awaitable[None]]
) -> None:
    """``work`` for one agent after the other, evenly spread."""
    started = time.monotonic()
    running: set[asyncio.Task[None]] = set()

    async def one(agent: Agent, late: float) -> None:
        try:
            await work(agent, late)
        except (aiohttp.ClientError, TimeoutError, OSError):
            floor.failures += 1

    for tick in count():
        due = started + tick / per_second
        if (pause := due - time.monotonic()) > 0:
            # Fifty times a second at most, as the operator does: waking for each costs half as
            # much again.
            await asyncio.sleep(max(pause, _PATIENCE))
        agent = floor.agents[tick % len(floor.agents)]
        task = asyncio.create_task(one(agent, time.monotonic() - due))
        running.add(task)
        task.add_done_callback(running.discard)


async def main() -> None:
    """Run until the parent is done."""
    config = first_line()
    agents = [Agent(number) for number in range(config["count"])]
    fresh = aiohttp.TCPConnector(limit=0, force_close=True)
    async with (
        aiohttp.ClientSession(connector=fresh, cookie_jar=aiohttp.DummyCookieJar()) as to_agents,
        session_to(Api(**config["api"])) as to_server,
    ):
        floor = Floor(agents, to_agents)

        async def write(agent: Agent, _late: float) -> None:
            await patch(to_server, agent)
            floor.patches += 1

        works = [asyncio.create_task(at_rate(len(agents) / INTERVAL, floor, floor.get))]
        if config["patches_per_s"] > 0:
            works.append(asyncio.create_task(at_rate(config["patches_per_s"], floor, write)))
        answer({})
        await answer_until_end(floor.report)
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
