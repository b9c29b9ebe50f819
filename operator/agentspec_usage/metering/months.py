"""A month of a zone, by the name that people give it."""

from __future__ import annotations

import re
from datetime import date, datetime, tzinfo

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.periods import Span, midnight

__all__ = ["CLOSE_GRACE_HOURS", "month_of", "month_span", "months_before"]

CLOSE_GRACE_HOURS = 24.0
"""Between a month's end and its being closed, as a rule: an agent that was cut off for a night has
delivered by then, and what was only seen is charged (``--settle-hours``)."""

_MONTH = re.compile(r"(\d{4})-(\d{2})")


def month_span(month: str, zone: tzinfo) -> Span:
    """The month, such as 2026-11, in the zone. Raises ``UsageError`` for what is none."""
    found = _MONTH.fullmatch(month)
    try:
        if found is None:
            raise ValueError(month)
        first = date(int(found[1]), int(found[2]), 1)
        following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        return Span(midnight(first, zone), midnight(following, zone))
    except (ValueError, OverflowError, UsageError) as error:
        raise UsageError(f"{month}: expected a month such as 2026-11") from error


def month_of(moment: int, zone: tzinfo) -> str:
    """The name of the month that ``moment`` (ms) is in, in the zone."""
    return f"{datetime.fromtimestamp(moment / 1000, tz=zone):%Y-%m}"


def months_before(moment: int, months: int, zone: tzinfo) -> int:
    """When (ms) the month began that is so many months before the one that ``moment`` is in."""
    today = datetime.fromtimestamp(moment / 1000, tz=zone).date()
    month = today.year * 12 + today.month - 1 - months
    return midnight(date(month // 12, month % 12 + 1, 1), zone)
