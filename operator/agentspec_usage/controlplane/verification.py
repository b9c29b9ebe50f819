"""``GET /usage/verify``: what came of reading the whole journal again.

Reading it takes as long as there are rows, so a request never waits for it: it tells what the last
reading found, and begins another when that is older than was asked for. Signatures are for whoever
keeps the public key and the checkpoints: ``agentspec-usage verify`` checks them, and needs nothing
of this program.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agentspec_usage.controlplane.gate import Gate
from agentspec_usage.controlplane.operations import Answer, Credential, Operation
from agentspec_usage.controlplane.usage_parameters import parameters_of
from agentspec_usage.runtime.clock import Clock, to_rfc3339
from agentspec_usage.store.errors import StoreError
from agentspec_usage.store.proof.verified import Verified

__all__ = ["ProvenStore", "Verification", "verification_operation"]

logger = logging.getLogger(__name__)


class Progress(Protocol):
    def __call__(self, rows: int, /) -> None: ...


class ProvenStore(Protocol):
    """A store whose journal can be read again."""

    async def verify(self, progress: Progress = ...) -> Verified: ...


class VerifyParameters(BaseModel):
    """How old the answer may be."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    max_age: int = Field(
        3600, ge=0, le=10**9, description="seconds; an older reading is begun again"
    )


class VerifyAnswer(BaseModel):
    """The last reading that ended, and whether one is under way.

    ``ok`` is null where none has ended yet; ``finding`` names the first thing that is wrong.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    ok: bool | None = None
    finding: str | None = None
    ledger: str | None = None
    rows: int | None = None
    batches: int | None = None
    signed_heads: int | None = None
    unsigned_rows: int | None = None
    unsigned_periods: int | None = None
    erased_rows: int | None = None
    dropped_rows: int | None = None
    verified_at: str | None = None
    state: Literal["idle", "running"] = "idle"
    rows_so_far: int | None = None


class Verification:
    """Reads the journal when somebody asks, once at a time."""

    def __init__(self, store: ProvenStore, gate: Gate, clock: Clock) -> None:
        self._store = store
        self._gate = gate
        self._clock = clock
        self._running: asyncio.Task[None] | None = None
        self._rows = 0
        self._found: Verified | None = None
        self._at = 0

    async def verify(self, request: Request) -> Response:
        """What was found last; a new reading begins when that is too old."""
        self._gate.admin(request)
        asked = parameters_of(request, VerifyParameters)
        now = self._clock.now()
        idle = self._running is None or self._running.done()
        if idle and (self._found is None or now - self._at > asked.max_age * 1000):
            self._rows = 0
            self._running = asyncio.create_task(self._read(now))
            idle = False
        return JSONResponse(self._answer(idle=idle).model_dump(by_alias=True))

    async def _read(self, began: int) -> None:
        try:
            self._found = await self._store.verify(self._count)
        except StoreError as error:
            logger.warning("the journal could not be read", extra={"reason": str(error)})
            return
        self._at = began
        if self._found.finding is not None:
            logger.error("the journal was changed", extra={"finding": str(self._found.finding)})

    def _count(self, rows: int, /) -> None:
        self._rows = rows

    def _answer(self, *, idle: bool) -> VerifyAnswer:
        found = self._found
        answer = VerifyAnswer(
            state="idle" if idle else "running", rows_so_far=None if idle else self._rows
        )
        if found is None:
            return answer
        return answer.model_copy(
            update={
                "ok": found.finding is None,
                "finding": None if found.finding is None else str(found.finding),
                "ledger": found.ledger,
                "rows": found.rows,
                "batches": found.batches,
                "signed_heads": found.signed,
                "unsigned_rows": found.unsigned_rows,
                "unsigned_periods": found.unsigned_periods,
                "erased_rows": found.erased,
                "dropped_rows": found.dropped.rows if found.dropped else 0,
                "verified_at": to_rfc3339(self._at),
            }
        )


def verification_operation(verification: Verification, prefix: str) -> Operation:
    """The endpoint, below ``prefix``."""
    return Operation(
        "verify",
        "GET",
        f"{prefix}/verify",
        verification.verify,
        "Whether the stored rows are those that were accepted",
        Credential.ADMIN,
        {HTTPStatus.OK: Answer("What the last reading found", VerifyAnswer)},
        problems=(
            HTTPStatus.FORBIDDEN,
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        ),
        parameters=VerifyParameters,
    )
