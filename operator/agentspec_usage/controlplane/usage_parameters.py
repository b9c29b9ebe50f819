"""What may be asked in the URL of a usage query, declared once: for decoding and for OpenAPI.

Times are RFC 3339 with Z or an offset, or a date, which means the whole day in ``time_zone``: as
an end it is the end of that day. The period is half-open. A ``+`` of an offset that was not
escaped arrives as a space, and is read as the ``+`` that it was.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from agentspec_usage.errors import WireError
from agentspec_usage.metering.periods import Span, local_days
from agentspec_usage.runtime.clock import from_rfc3339
from agentspec_usage.store.queries import Position
from agentspec_usage.wire.shapes import wire_error

__all__ = [
    "CallsParameters",
    "DaysParameters",
    "PeriodParameters",
    "UsageParameters",
    "in_path",
    "parameters_of",
    "position_of",
    "position_text",
]

Parameters = TypeVar("Parameters", bound=BaseModel)

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_CURSOR = re.compile(r"(\d{1,15})-(\d{1,15})")
_ZONE = re.compile(r"[A-Za-z0-9+_-]{1,40}(/[A-Za-z0-9+_-]{1,40}){0,2}")

_EVER = 253_402_300_800_000
"""The year 10000, in ms: what has no end ends here."""


class UsageParameters(BaseModel):
    """Which usage: every parameter narrows it down."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    org_id: str = Field("", max_length=63, description="the namespace")
    agent_id: str = Field(
        "", max_length=128, description="the agent: namespace/name, or the agentId of its key"
    )
    model: str = Field("", max_length=128, description="the model that answered")


class PeriodParameters(UsageParameters):
    """Usage of a period."""

    start_time: str = Field("", max_length=40, description="from then on: a time, or a date")
    end_time: str = Field("", max_length=40, description="before then, or to the end of a date")
    time_zone: str = Field(
        "UTC", max_length=80, description="of dates: a name such as Asia/Kolkata"
    )

    def zone(self) -> tzinfo:
        """The zone. Raises WireError for one that this machine does not know."""
        if self.time_zone == "UTC":
            return UTC
        if not _ZONE.fullmatch(self.time_zone):
            raise WireError("time_zone", "the name of a time zone, such as Asia/Kolkata")
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, OSError, ValueError) as error:
            raise WireError("time_zone", "the name of a time zone, such as Asia/Kolkata") from error

    def span(self) -> Span:
        """The period. Raises WireError for a time that is none, or an end before the start."""
        start = self._time("start_time", self.start_time).start if self.start_time else 0
        end = self._time("end_time", self.end_time).end if self.end_time else _EVER
        if start > end:
            raise WireError("end_time", "a time after start_time")
        return Span(start, end)

    def _time(self, name: str, text: str) -> Span:
        try:
            if _DATE.fullmatch(text):
                return self._day(date.fromisoformat(text))
            moment = from_rfc3339(text.replace(" ", "+") if "T" in text else text)
        except (ValueError, OverflowError) as error:
            raise WireError(name, "an RFC 3339 time with Z or an offset, or a date") from error
        if not 0 <= moment < _EVER:
            raise WireError(name, "a time since 1970")
        return Span(moment, moment)

    def _day(self, day: date) -> Span:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=self.zone())
        delta = noon - datetime(1970, 1, 1, tzinfo=UTC)
        around = delta // timedelta(milliseconds=1)
        wide = Span(around - 2 * 86_400_000, around + 2 * 86_400_000)
        return next(each.span for each in local_days(wide, self.zone()) if each.day == day)


class DaysParameters(PeriodParameters):
    """Usage of a period, by the days of ``time_zone``."""


class CallsParameters(PeriodParameters):
    """The calls of a period, a page at a time."""

    user_id: str = Field("", max_length=128, description="the end user of the agent")
    limit: int = Field(100, ge=1, le=1000, description="how many")
    offset: int = Field(0, ge=0, le=2**53, description="leave out as many; not with a cursor")
    cursor: str = Field("", max_length=40, description="go on after a page: its nextCursor")

    def after(self) -> Position | None:
        """Where to go on. Raises WireError for a cursor that no page gave."""
        if not self.cursor:
            return None
        after = position_of(self.cursor)
        if self.offset:
            raise WireError("offset", "none beside a cursor")
        return after


def position_of(cursor: str) -> Position:
    """Where ``cursor`` goes on. Raises WireError for one that no page gave."""
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise WireError("cursor", "the nextCursor of an earlier page")
    return Position(int(found[1]), int(found[2]))


def position_text(position: Position) -> str:
    """The cursor that goes on after ``position``."""
    return f"{position.at}-{position.item}"


def in_path(request: Request, name: str) -> str:
    """What the path has for ``name``. Raises WireError for a text that nothing can be called."""
    return _text(name, request.path_params[name])


def _text(name: str, value: str) -> str:
    if "\0" in value:  # PostgreSQL has no such text: asking for it would be an error of ours.
        raise WireError(name, "a text without NUL")
    return value


def parameters_of(request: Request, shape: type[Parameters]) -> Parameters:
    """The request's parameters. Raises WireError with the first that is wrong."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise WireError(name, "one value")
        given[name] = _text(name, value)
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        raise wire_error(error) from error
