"""A usage record: one model call, which is what gets priced and billed.

It gets its identity where it is born: the instance that counted it and its position there
(``seq``). Every later hop may repeat, reorder or retry. Names and context are attributes, never
keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.series import SeriesKey

__all__ = ["NO_CONTEXT", "NO_REQUESTS", "CallContext", "CallStatus", "UsageRecord"]

_EMPTY: Mapping[str, str] = MappingProxyType({})


class CallStatus(StrEnum):
    """How a call ended, as far as its usage is concerned."""

    OK = "ok"
    ABORTED = "aborted"
    """The counts are those seen before the stream broke: a lower bound."""
    UNMETERED = "unmetered"
    """No counts: one call whose usage could not be read."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """On whose behalf a call was made. Attributes for allocation and search; at most 16 labels."""

    user: str = ""
    session: str = ""
    run: str = ""
    parent_run: str = ""
    team: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


NO_CONTEXT = CallContext()
NO_REQUESTS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One call. ``at`` is its end in ms, UTC; ``counts`` holds exactly one call.

    ``key`` is the price context with the response model; ``request_model`` what was asked for.
    ``call_id`` and ``response_id`` are what two observers of the call may agree on: the response id
    only on surfaces whose ids are unique. ``requests`` are units billed apart from tokens, such as
    web searches. ``raw`` is the provider's usage object as text, at most 2 KiB.
    """

    seq: int
    at: int
    key: SeriesKey
    counts: TokenCounts = ZERO
    status: CallStatus = CallStatus.OK
    request_model: str = ""
    call_id: str = ""
    response_id: str = ""
    requests: Mapping[str, int] = field(default_factory=lambda: NO_REQUESTS)
    duration_ms: int | None = None
    ttft_ms: int | None = None
    context: CallContext = NO_CONTEXT
    raw: str = ""
