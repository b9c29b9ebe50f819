"""Refusals, and how every error becomes an answer.

An answer that is no success is a problem in the form of RFC 9457, whose ``detail`` is also what
AgentSpec's clients read. Where a field is wrong it says which and what was expected, and never what
stood there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from agentspec_usage.errors import AgentspecUsageError, WireError
from agentspec_usage.store.errors import StoreBusyError, StoreUnavailableError

__all__ = ["PROBLEM_TYPE", "Refusal", "answer_of", "problem", "too_many"]

PROBLEM_TYPE = "application/problem+json"

_BUSY_SECONDS = 2
"""When to come again after the store was full or failed: a commit takes far less."""


class Refusal(AgentspecUsageError):
    """A request that is not served, and why."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})


def too_many(detail: str, seconds: float) -> Refusal:
    """429, with when to come again: whole seconds, rounded up, at least one."""
    after = max(math.ceil(seconds), 1)
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": str(after)})


def answer_of(error: AgentspecUsageError) -> Response:
    """The answer that ``error`` becomes."""
    match error:
        case Refusal():
            return problem(error.status, str(error), headers=error.headers)
        case WireError():
            return problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                str(error),
                field=error.path or None,
                expected=error.expected,
            )
        case StoreBusyError():
            return problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too much waits to be written: nothing of this was taken, send it again",
                headers={"Retry-After": str(_BUSY_SECONDS)},
            )
        case StoreUnavailableError():
            return problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the usage store cannot write: nothing of this was kept, send it again",
                headers={"Retry-After": str(_BUSY_SECONDS)},
            )
        case _:
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the control plane failed")


def problem(
    status: HTTPStatus,
    detail: str,
    *,
    field: str | None = None,
    expected: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document as the answer."""
    document: dict[str, object] = {
        "status": int(status),
        "title": status.phrase,
        "detail": detail,
    }
    if field is not None:
        document["field"] = field
    if expected is not None:
        document["expected"] = expected
    return Response(json.dumps(document), int(status), headers, PROBLEM_TYPE)
