"""What the event endpoints answer."""

from __future__ import annotations

from typing import Literal

from agentspec_usage.wire.shapes import Shape

__all__ = ["EventBatchAnswer", "EventStatsAnswer", "EventsAnswer"]


class EventsAnswer(Shape):
    """What became of the events of a body. ``queued`` are the agent's that are not durable yet,
    ``repeated`` those whose id was taken lately.
    """

    accepted: int
    dropped: int
    repeated: int
    queued: int


class EventStatsAnswer(Shape):
    """What the buffer of this process counted since it started."""

    started: bool
    queue_size: int
    total_enqueued: int
    total_flushed: int
    total_dropped: int
    total_repeated: int
    total_set_aside: int
    flush_count: int
    last_flush_at: str | None
    last_error: str | None


class EventBatchAnswer(Shape):
    """The events of a session and run that were flushed together. ``verified`` says whether the
    rows, read again, give ``batchHash`` and these sums; ``finding`` what is wrong where they do
    not.
    """

    type: Literal["usage.batch_flushed"] = "usage.batch_flushed"
    batch_id: str
    flushed_at: str
    session_id: str | None
    run_id: str | None
    parent_run_id: str | None
    event_count: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    tool_calls: int
    total_cost: str | None
    currency: str | None
    costs: dict[str, str]
    unpriced_count: int
    models: list[str]
    agents: list[str]
    batch_hash: str
    verified: bool
    finding: str | None
