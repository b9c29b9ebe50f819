"""Bodies that are on their way take memory: there is room for so many, a share for each agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from agentspec_usage.controlplane.settings import ControlPlaneSettings
from tests.unit.controlplane.planes import OPERATOR, Plane, beat, running_plane

ROOM = 8
SHARE = 2


class SlowBodies:
    """Requests whose bodies have begun, and end when the test says so."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._rest = asyncio.Event()
        self._sending: list[asyncio.Task[httpx.Response]] = []

    async def begin(self, key: dict[str, str]) -> None:
        """Return when the body of one more heartbeat has begun."""
        begun = asyncio.Event()
        heartbeat = beat(f"{len(self._sending):032x}")

        async def body() -> AsyncIterator[bytes]:
            begun.set()
            yield b" "
            await self._rest.wait()
            yield heartbeat

        request = self._plane.http.post("/heartbeat", content=body(), headers=key)
        self._sending.append(asyncio.create_task(request))
        await begun.wait()

    async def end(self) -> list[int]:
        self._rest.set()
        return [answer.status_code for answer in await asyncio.gather(*self._sending)]


async def test_an_agent_that_sends_slowly_keeps_nobody_else_out(tmp_path: Path) -> None:
    settings = ControlPlaneSettings(requests_under_way=ROOM)
    async with running_plane(tmp_path / "usage.db", settings) as plane:
        slow, other = await plane.bearer("slow"), await plane.bearer("other")
        bodies = SlowBodies(plane)
        for _ in range(SHARE):
            await bodies.begin(slow)
        refused = await plane.http.post("/heartbeat", content=beat("f" * 32), headers=slow)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert (
            await plane.http.post("/heartbeat", content=beat(), headers=other)
        ).status_code == 200
        observed = b'{"observations":[]}'
        answer = await plane.http.post("/usage/observed", content=observed, headers=OPERATOR)
        assert answer.status_code == 200
        assert await bodies.end() == [200] * SHARE
        again = await plane.http.post("/heartbeat", content=beat("f" * 32), headers=slow)
        assert again.status_code == 200


async def test_all_agents_together_have_no_more_room_than_there_is(tmp_path: Path) -> None:
    settings = ControlPlaneSettings(requests_under_way=ROOM)
    async with running_plane(tmp_path / "usage.db", settings) as plane:
        keys = [await plane.bearer(f"agent-{number}") for number in range(ROOM // SHARE + 1)]
        bodies = SlowBodies(plane)
        for key in keys[:-1]:
            for _ in range(SHARE):
                await bodies.begin(key)
        refused = await plane.http.post("/heartbeat", content=beat("f" * 32), headers=keys[-1])
        assert refused.status_code == 429
        assert await bodies.end() == [200] * ROOM
