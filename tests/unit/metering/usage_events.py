"""Usage events for tests, by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.usage_event import UsageEvent

__all__ = ["NOW_MS", "drawing", "event"]

NOW_MS = 1_790_000_000_000


def event(
    session: str = "s",
    *,
    agent: str = "agt_a",
    tokens: int = 10,
    run: str = "",
    event_id: str = "",
    at: int = NOW_MS,
) -> UsageEvent:
    counts = TokenCounts(input=tokens, output=1, calls=1)
    return UsageEvent(
        agent, at, "openai", "gpt", counts, counts.total, 2, session, run, "", event_id
    )


def drawing() -> Callable[[], str]:
    """Instance ids that tell in which order they were drawn."""
    numbers = count(1)
    return lambda: f"{next(numbers):032x}"
