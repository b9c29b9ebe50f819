"""A meter that remembers what it was told, and refuses or breaks where a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agentspec_usage.extraction.values import ReadCall
from agentspec_usage.sidecar.calls import ProxiedEnd, ProxiedRequest, Refusal

__all__ = ["RecordingMeter", "until"]

_PATIENCE_SECONDS = 10.0


@dataclass
class RecordingMeter:
    """``judge`` answers ``begin``; what it raises, begin raises."""

    judge: Callable[[ProxiedRequest], Refusal | None] = lambda request: None
    began: list[ProxiedRequest] = field(default_factory=list)
    calls: list[tuple[str, ReadCall]] = field(default_factory=list)
    ended: list[tuple[ProxiedRequest, ProxiedEnd]] = field(default_factory=list)

    def begin(self, request: ProxiedRequest) -> Refusal | None:
        self.began.append(request)
        return self.judge(request)

    def read(self, request: ProxiedRequest, calls: Sequence[ReadCall]) -> None:
        self.calls += [(request.key, call) for call in calls]

    def end(self, request: ProxiedRequest, end: ProxiedEnd) -> None:
        self.ended.append((request, end))

    @property
    def ends(self) -> list[ProxiedEnd]:
        return [end for _, end in self.ended]

    async def the_end(self) -> ProxiedEnd:
        """The one end of the one request that was told of, once it is told."""
        await until(lambda: bool(self.ended))
        assert len(self.began) == len(self.ended) == 1
        return self.ends[0]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds; fail if it does not within seconds."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to await
            await asyncio.sleep(0.002)
