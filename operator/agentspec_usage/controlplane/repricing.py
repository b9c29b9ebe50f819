"""``POST /usage/reprice``: price what is stored again, by the present prices, a page a request.

No job runs behind it: whoever asks goes on with the answer's cursor, and may stop and go on another
day, because what was priced again is not priced again twice.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agentspec_usage.controlplane.gate import Gate
from agentspec_usage.controlplane.operations import Answer, Credential, Operation
from agentspec_usage.controlplane.periods import span_of
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.controlplane.usage_parameters import position_of, position_text
from agentspec_usage.errors import WireError
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.serving.body import read_body
from agentspec_usage.serving.problems import Refusal
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.repricing import RepricingStore
from agentspec_usage.store.retention import PrunedError
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.shapes import wire_error

__all__ = ["Repricing", "repricing_operation"]

_MAX_BODY = 4096

_NO_NUL = r"^[^\u0000]*$"
"""PostgreSQL has no text with one: asking for it would be an error of ours."""


class RepriceBody(BaseModel):
    """What to price again."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="ignore", strict=True, hide_input_in_errors=True
    )

    month: Annotated[str, Field(max_length=7, description="such as 2026-11")]
    zone: Annotated[str, Field(max_length=80)] = "UTC"
    org_id: Annotated[
        str, Field(max_length=63, pattern=_NO_NUL, description="of this namespace alone")
    ] = ""
    model: Annotated[
        str, Field(max_length=128, pattern=_NO_NUL, description="of this model alone")
    ] = ""
    dry_run: bool = False
    cursor: Annotated[str, Field(max_length=40, description="the nextCursor to go on at")] = ""


class RepriceAnswer(BaseModel):
    """What became of a page. ``differences`` is by how much the amounts changed, by currency."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    seen: int
    changed: int
    differences: dict[str, str]
    next_cursor: str | None


class Repricing:
    def __init__(
        self, store: RepricingStore, gate: Gate, clock: Clock, settings: ControlPlaneSettings
    ) -> None:
        self._store = store
        self._gate = gate
        self._clock = clock
        self._settings = settings

    async def reprice(self, request: Request) -> Response:
        """Price the next page again."""
        self._gate.admin(request)
        with self._gate.room():
            body = decode_reprice(await read_body(request, _MAX_BODY, self._settings.body_timeout))
        asked = UsageFilter(span_of(body.month, body.zone), namespace=body.org_id, model=body.model)
        after = position_of(body.cursor) if body.cursor else None
        now = self._clock.now()
        try:
            found = await self._store.reprice(asked, now, after=after, dry=body.dry_run)
        except PrunedError as error:
            raise Refusal(HTTPStatus.CONFLICT, str(error)) from error
        answer = RepriceAnswer(
            seen=found.seen,
            changed=found.changed,
            differences={money.currency: str(money) for money in found.differences},
            next_cursor=None if found.next is None else position_text(found.next),
        )
        return JSONResponse(answer.model_dump(by_alias=True))


def decode_reprice(body: bytes) -> RepriceBody:
    """Raises ``WireError``."""
    document = strict_json.loads(body, max_bytes=_MAX_BODY)
    if not isinstance(document, dict):
        raise WireError("", "an object")
    try:
        return RepriceBody.model_validate(document)
    except ValidationError as error:
        raise wire_error(error) from None


def repricing_operation(repricing: Repricing, prefix: str) -> Operation:
    """The endpoint, below ``prefix``."""
    return Operation(
        "reprice",
        "POST",
        f"{prefix}/reprice",
        repricing.reprice,
        "Price what is stored again, by the present prices, a page a request",
        Credential.ADMIN,
        {HTTPStatus.OK: Answer("What became of the page", RepriceAnswer)},
        RepriceBody,
        (
            HTTPStatus.FORBIDDEN,
            HTTPStatus.CONFLICT,
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.TOO_MANY_REQUESTS,
        ),
    )
