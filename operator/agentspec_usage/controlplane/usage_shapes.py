"""What the usage queries answer, field by field as AgentSpec's and its relatives' clients read it.

Money is a decimal string or null, never a float; null is unpriced, never free. Its currency stands
beside it; where there are several, they stand in ``costs`` and are never added. ``org_id`` is the
namespace, ``threadId`` the session, ``agentId`` is ``namespace/name``. The keys within ``byModel``
and ``byAgent`` are in snake case, as they were published.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from agentspec_usage.wire.shapes import Shape

__all__ = [
    "BillingAnswer",
    "DayRow",
    "DaysAnswer",
    "HistoryAnswer",
    "HistoryEvent",
    "SumRow",
    "TotalsAnswer",
]


class SumRow(BaseModel):
    """A model's part, or an agent's."""

    model_config = ConfigDict(frozen=True)

    total_tokens: int
    prompt_tokens: int
    completion_tokens: int
    request_count: int
    total_cost: str | None
    currency: str | None


class TotalsAnswer(Shape):
    """The largest first. Both divisions sum up to the total."""

    total_tokens: int
    prompt_tokens: int
    completion_tokens: int
    request_count: int
    total_cost: str | None
    currency: str | None
    costs: dict[str, str]
    unpriced_count: int
    estimated_count: int
    by_model: dict[str, SumRow]
    by_agent: dict[str, SumRow]


class BillingAnswer(TotalsAnswer):
    """Times are null where none was asked for."""

    org_id: str | None
    start_time: str | None
    end_time: str | None


class DayRow(Shape):
    """A day of the zone that was asked for."""

    date: str
    total_tokens: int
    prompt_tokens: int
    completion_tokens: int
    request_count: int
    total_cost: str | None
    currency: str | None
    costs: dict[str, str]
    unpriced_count: int
    estimated_count: int


class DaysAnswer(Shape):
    """Days with usage, ascending."""

    days: list[DayRow]
    count: int


class HistoryEvent(Shape):
    """A call, or several that were merged before they were sent (``metadata.callCount``)."""

    id: str
    timestamp: str
    thread_id: str | None
    agent_id: str
    model: str
    provider: str
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    latency_ms: int | None
    estimated_cost: str | None
    currency: str | None
    metadata: dict[str, str | int]


class HistoryAnswer(Shape):
    """A page. ``total`` counts what all filters leave; ``nextCursor`` goes on after this page."""

    events: list[HistoryEvent]
    count: int
    total: int
    offset: int
    limit: int
    next_cursor: str | None
