"""``/usage/focus``: a month as a file of charges that FinOps tools read.

The file is written whole before a byte of it is sent, so that what fails is an error and not half
a file; beyond a size it waits on disk and not in memory. Every sum of a month is read for it, so
one is made at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import IO

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from agentspec_usage import __version__
from agentspec_usage.controlplane.gate import Gate
from agentspec_usage.controlplane.operations import Answer, Credential, Operation
from agentspec_usage.controlplane.usage_parameters import parameters_of
from agentspec_usage.errors import MissingExtraError, UsageError, WireError
from agentspec_usage.export.focus_file import FocusFormat, unpriced_in, write_focus
from agentspec_usage.export.focus_schema import focus_schema
from agentspec_usage.metering.months import month_span
from agentspec_usage.pricing.focus.rows import Export
from agentspec_usage.serving.problems import Refusal, too_many
from agentspec_usage.store.queries import UsageFilter, UsageQueries
from agentspec_usage.store.values import Agent

__all__ = ["Focus", "focus_operations"]

_IN_MEMORY = 4 * 1024 * 1024
"""Bytes of a file that do not go to the disk."""

_CHUNK = 256 * 1024

_AGAIN_SECONDS = 5

_MEDIA_TYPES = {
    FocusFormat.CSV: "text/csv; charset=utf-8",
    FocusFormat.PARQUET: "application/vnd.apache.parquet",
}


class UnpricedParameters(BaseModel):
    """Whose usage, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    month: str = Field(max_length=7, description="in UTC, such as 2026-11")
    org_id: str = Field("", max_length=63, description="of this namespace alone")


class FocusParameters(UnpricedParameters):
    """Which file."""

    format: FocusFormat = Field(FocusFormat.CSV, description="how it is written")


class UnpricedRow(BaseModel):
    """A quantity that has no price."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    namespace: str
    agent: str
    cost_center: str
    team: str
    provider: str
    model: str
    reason: str
    meter: str
    quantity: int


class UnpricedAnswer(BaseModel):
    """What the file of charges does not have."""

    unpriced: list[UnpricedRow]


class Focus:
    """``cluster`` is the name of this cluster in the identifiers of resources; "" is none."""

    def __init__(self, queries: UsageQueries, gate: Gate, cluster: str) -> None:
        self._queries = queries
        self._gate = gate
        self._cluster = cluster
        self._under_way = False

    async def file(self, request: Request) -> Response:
        """The charges of a month."""
        own = await self._own(request)
        asked = parameters_of(request, FocusParameters)
        wanted = _wanted(own, asked)
        with self._alone():
            try:
                file = await self._written(wanted, asked.format)
            except MissingExtraError as error:
                raise Refusal(HTTPStatus.NOT_IMPLEMENTED, str(error)) from error
        return StreamingResponse(
            _chunks(file),
            media_type=_MEDIA_TYPES[asked.format],
            headers={
                "Content-Length": str(file.tell()),
                "Content-Disposition": (
                    f'attachment; filename="focus-{asked.month}.{asked.format}"'
                ),
                "Link": f'<{request.url.path}/schema>; rel="describedby"',
            },
        )

    async def unpriced(self, request: Request) -> Response:
        """What the file of the month does not have."""
        own = await self._own(request)
        wanted = _wanted(own, parameters_of(request, UnpricedParameters))
        with self._alone():
            found = await self._queries.day_usage(wanted, lambda _, parts: unpriced_in(parts))
        rows = [
            UnpricedRow(
                namespace=each.attribution.namespace,
                agent=each.attribution.agent,
                cost_center=each.attribution.cost_center,
                team=each.attribution.team,
                provider=each.provider,
                model=each.model,
                reason=str(each.reason),
                meter=each.meter,
                quantity=each.quantity,
            )
            for each in found
        ]
        return JSONResponse(UnpricedAnswer(unpriced=rows).model_dump(by_alias=True))

    async def schema(self, _: Request) -> Response:
        """What the columns of the files are."""
        return JSONResponse(focus_schema(__version__))

    async def _own(self, request: Request) -> Agent | None:
        """The only agent that the caller may ask about; None for the administrator: any."""
        if "x-admin-key" in request.headers:
            self._gate.admin(request)
            return None
        return (await self._gate.agent(request)).agent

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._under_way:
            raise too_many("a month is being read: expected one at a time", _AGAIN_SECONDS)
        self._under_way = True
        try:
            yield
        finally:
            self._under_way = False

    async def _written(self, wanted: UsageFilter, kind: FocusFormat) -> IO[bytes]:
        file = SpooledTemporaryFile(_IN_MEMORY)
        try:
            await self._queries.day_usage(
                wanted,
                lambda at, parts: write_focus(
                    parts, Export(wanted.span, at.ledger, self._cluster, at.batch), kind, file
                ),
            )
        except BaseException:
            file.close()
            raise
        return file


def _wanted(own: Agent | None, asked: UnpricedParameters) -> UsageFilter:
    try:
        span = month_span(asked.month, UTC)
    except UsageError as error:
        raise WireError("month", "a month such as 2026-11") from error
    if own is None:
        return UsageFilter(span, asked.org_id)
    if asked.org_id not in ("", own.namespace):
        raise Refusal(HTTPStatus.FORBIDDEN, "org_id: this key is of another namespace")
    return UsageFilter(span, own.namespace, own.agent_id)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk


def focus_operations(focus: Focus, prefix: str) -> tuple[Operation, ...]:
    """The endpoints, below ``prefix``."""
    problems = (
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
    ok = HTTPStatus.OK
    return (
        Operation(
            "focus",
            "GET",
            f"{prefix}/focus",
            focus.file,
            "The charges of a month as FOCUS 1.2, for FinOps tools",
            Credential.ADMIN_OR_AGENT,
            {ok: Answer("CSV or Parquet")},
            problems=(*problems, HTTPStatus.NOT_IMPLEMENTED),
            parameters=FocusParameters,
        ),
        Operation(
            "focus_unpriced",
            "GET",
            f"{prefix}/focus/unpriced",
            focus.unpriced,
            "What the charges of a month do not have: it has no price",
            Credential.ADMIN_OR_AGENT,
            {ok: Answer("By agent, model and reason", UnpricedAnswer)},
            problems=problems,
            parameters=UnpricedParameters,
        ),
        Operation(
            "focus_schema",
            "GET",
            f"{prefix}/focus/schema",
            focus.schema,
            "The schema of the files, as FOCUS's metadata",
            Credential.NONE,
            {ok: Answer("Its id changes when a column does")},
        ),
    )
