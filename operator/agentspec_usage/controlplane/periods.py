"""``/usage/periods`` and ``/usage/statement``: closing a month, and what it is charged."""

from __future__ import annotations

from datetime import UTC, tzinfo
from http import HTTPStatus
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agentspec_usage.controlplane.gate import Gate
from agentspec_usage.controlplane.operations import Answer, Credential, Operation
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.controlplane.usage_parameters import parameters_of
from agentspec_usage.errors import UsageError, WireError
from agentspec_usage.export.statement_text import (
    BY_DEFAULT,
    StatementFormat,
    StatementOf,
    statement_text,
)
from agentspec_usage.metering.months import month_span
from agentspec_usage.metering.periods import Span
from agentspec_usage.runtime.clock import Clock, to_rfc3339
from agentspec_usage.serving.body import read_body
from agentspec_usage.serving.problems import Refusal
from agentspec_usage.store.periods import (
    DIMENSIONS,
    ClosedPeriod,
    Period,
    PeriodError,
    PeriodStore,
    closing_rules,
)
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.shapes import wire_error

__all__ = ["Periods", "periods_operations", "span_of"]

_MAX_BODY = 4096

_Month = Annotated[str, Field(max_length=7, description="such as 2026-11")]
_Zone = Annotated[str, Field(max_length=80, description="the zone whose month it is")]


class PeriodBody(BaseModel):
    """A month to close."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    month: _Month
    zone: _Zone = "UTC"
    early: bool = Field(False, description="also while usage of it may still be under way")
    begin: bool = Field(
        False, description="also as the first one though there is usage of earlier months"
    )


class PeriodAnswer(BaseModel):
    """A month that was closed. Later usage of it is a correction in a later one."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    month: str
    zone: str
    start_time: str
    end_time: str
    closed_at: str
    last_item: int
    statement_hash: str


class PeriodsAnswer(BaseModel):
    """Those that were closed, in their order."""

    periods: list[PeriodAnswer]


class StatementParameters(BaseModel):
    """Which statement."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    month: _Month
    zone: _Zone = "UTC"
    org_id: str = Field("", max_length=63, description="of this namespace alone")
    by: str = Field(
        ",".join(BY_DEFAULT),
        max_length=64,
        description="one line for each of these: namespace, cost-center, team, agent, model",
    )
    format: StatementFormat = Field(StatementFormat.JSON, description="how it is written")
    digits: int = Field(2, ge=0, le=12, description="of amounts, after the point")


class Periods:
    def __init__(
        self, store: PeriodStore, gate: Gate, clock: Clock, settings: ControlPlaneSettings
    ) -> None:
        self._store = store
        self._gate = gate
        self._clock = clock
        self._settings = settings

    async def close(self, request: Request) -> Response:
        """Close a month; one that is closed is answered as it was closed."""
        self._gate.admin(request)
        with self._gate.room():
            body = decode_period(await read_body(request, _MAX_BODY, self._settings.body_timeout))
        period = Period(body.month, body.zone, span_of(body.month, body.zone))
        hours = self._settings.close_grace_hours
        rules = closing_rules(hours, early=body.early, begin=body.begin)
        try:
            closed = await self._store.close_period(period, self._clock.now(), rules)
        except PeriodError as error:
            raise Refusal(HTTPStatus.CONFLICT, str(error)) from error
        return JSONResponse(_answer(closed).model_dump(by_alias=True))

    async def closed(self, request: Request) -> Response:
        """The months that were closed."""
        self._gate.admin(request)
        found = [_answer(closed) for closed in await self._store.closed_periods()]
        return JSONResponse(PeriodsAnswer(periods=found).model_dump(by_alias=True))

    async def statement(self, request: Request) -> Response:
        """What a month is charged."""
        self._gate.admin(request)
        asked = parameters_of(request, StatementParameters)
        span = span_of(asked.month, asked.zone)
        found = await self._store.statement(span, self._clock.now(), asked.org_id)
        of = StatementOf(
            asked.month,
            asked.zone,
            found.ledger,
            found.head.batch,
            found.head.hash.hex(),
            to_rfc3339(found.closed.closed_at) if found.closed else "",
        )
        try:
            text = statement_text(
                of, found.usage, DIMENSIONS, asked.by.split(","), asked.format, asked.digits
            )
        except UsageError as error:
            raise WireError("by", "some of namespace, cost-center, team, agent, model") from error
        return Response(text, media_type=_MEDIA_TYPES[asked.format])


_MEDIA_TYPES = {
    StatementFormat.TABLE: "text/plain; charset=utf-8",
    StatementFormat.CSV: "text/csv; charset=utf-8",
    StatementFormat.JSON: "application/json",
}


def decode_period(body: bytes) -> PeriodBody:
    """Raises ``WireError``."""
    document = strict_json.loads(body, max_bytes=_MAX_BODY)
    if not isinstance(document, dict):
        raise WireError("", "an object")
    try:
        return PeriodBody.model_validate(document)
    except ValidationError as error:
        raise wire_error(error) from None


def periods_operations(periods: Periods, prefix: str) -> tuple[Operation, ...]:
    """Every endpoint, below ``prefix``."""
    admin = (HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE)
    ok = HTTPStatus.OK
    return (
        Operation(
            "close_period",
            "POST",
            f"{prefix}/periods",
            periods.close,
            "Close a month: its statement never changes from then on",
            Credential.ADMIN,
            {ok: Answer("As it was closed, now or earlier", PeriodAnswer)},
            PeriodBody,
            (
                *admin,
                HTTPStatus.CONFLICT,
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                HTTPStatus.UNPROCESSABLE_ENTITY,
                HTTPStatus.TOO_MANY_REQUESTS,
            ),
        ),
        Operation(
            "periods",
            "GET",
            f"{prefix}/periods",
            periods.closed,
            "The months that were closed",
            Credential.ADMIN,
            {ok: Answer("In their order", PeriodsAnswer)},
            problems=admin,
        ),
        Operation(
            "statement",
            "GET",
            f"{prefix}/statement",
            periods.statement,
            "What a month is charged, so that it adds up",
            Credential.ADMIN,
            {ok: Answer("As a table, CSV or JSON")},
            problems=(*admin, HTTPStatus.UNPROCESSABLE_ENTITY),
            parameters=StatementParameters,
        ),
    )


def span_of(month: str, zone: str) -> Span:
    """The month in the zone. Raises ``WireError``."""
    try:
        return month_span(month, _zone(zone))
    except UsageError as error:
        raise WireError("month", "a month such as 2026-11") from error


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise WireError("zone", "the name of a time zone, such as Asia/Kolkata") from error


def _answer(closed: ClosedPeriod) -> PeriodAnswer:
    period = closed.period
    return PeriodAnswer(
        month=period.name,
        zone=period.zone,
        start_time=to_rfc3339(period.span.start),
        end_time=to_rfc3339(period.span.end),
        closed_at=to_rfc3339(closed.closed_at),
        last_item=closed.last_item,
        statement_hash=closed.hash,
    )
