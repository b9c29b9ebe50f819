"""A budget as it is configured, and the stretch of time that it is for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from agentspec_usage.metering.counts import MAX_COUNT

__all__ = ["BudgetLimits", "Threshold", "Window", "window_end", "window_start"]


class Window(StrEnum):
    """The stretch of time after which a budget begins anew; UTC, so that every pod of a fleet
    agrees when that is.
    """

    DAY = "utc-day"
    MONTH = "utc-month"


class Threshold(StrEnum):
    """What is configured, by the names that the configuration uses."""

    SOFT_TOKENS = "softTokens"
    HARD_TOKENS = "hardTokens"
    SOFT_REQUESTS = "softRequests"
    HARD_REQUESTS = "hardRequests"

    @property
    def is_hard(self) -> bool:
        return self in (Threshold.HARD_TOKENS, Threshold.HARD_REQUESTS)

    @property
    def is_of_tokens(self) -> bool:
        return self in (Threshold.SOFT_TOKENS, Threshold.HARD_TOKENS)


class BudgetLimits(BaseModel):
    """The ``budgets`` of the upstreams file. Soft thresholds are announced, hard ones refuse."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    window: Window = Window.DAY
    soft_tokens: int | None = Field(None, ge=1, le=MAX_COUNT)
    hard_tokens: int | None = Field(None, ge=1, le=MAX_COUNT)
    soft_requests: int | None = Field(None, ge=1, le=MAX_COUNT)
    hard_requests: int | None = Field(None, ge=1, le=MAX_COUNT)

    @model_validator(mode="after")
    def _warns_before_it_refuses(self) -> Self:
        for soft, hard, what in (
            (self.soft_tokens, self.hard_tokens, "Tokens"),
            (self.soft_requests, self.hard_requests, "Requests"),
        ):
            if soft is not None and hard is not None and soft >= hard:
                raise ValueError(
                    f"soft{what} {soft} is not below hard{what} {hard}: "
                    "it would be announced when calls are refused already"
                )
        return self

    def thresholds(self) -> dict[Threshold, int]:
        """Those that are set."""
        given = {
            Threshold.SOFT_TOKENS: self.soft_tokens,
            Threshold.HARD_TOKENS: self.hard_tokens,
            Threshold.SOFT_REQUESTS: self.soft_requests,
            Threshold.HARD_REQUESTS: self.hard_requests,
        }
        return {threshold: limit for threshold, limit in given.items() if limit is not None}


def window_start(window: Window, now: int) -> int:
    """When the window that ``now`` is in began; ms, UTC."""
    day = datetime.fromtimestamp(now / 1000, tz=UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    return _milliseconds(day if window is Window.DAY else day.replace(day=1))


def window_end(window: Window, start: int) -> int:
    """When the window that began at ``start`` ends, and the next one begins."""
    begin = datetime.fromtimestamp(start / 1000, tz=UTC)
    if window is Window.DAY:
        return _milliseconds(begin + timedelta(days=1))
    # The first of a month plus 31 days is in the next one, whatever the month.
    return _milliseconds((begin + timedelta(days=31)).replace(day=1))


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp()) * 1000
