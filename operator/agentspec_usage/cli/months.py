"""Months and zones as they are written on a command line."""

from __future__ import annotations

from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agentspec_usage.errors import SettingsError, UsageError
from agentspec_usage.metering.months import month_span
from agentspec_usage.metering.periods import Span

__all__ = ["read_month", "read_zone"]


def read_month(text: str, zone: tzinfo) -> Span:
    """``--month``. Raises ``SettingsError``."""
    try:
        return month_span(text, zone)
    except UsageError as error:
        raise SettingsError(f"--month {error}") from error


def read_zone(name: str) -> tzinfo:
    """``--zone``. Raises ``SettingsError``."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise SettingsError(f"--zone {name}: expected a time zone such as Asia/Kolkata") from error
