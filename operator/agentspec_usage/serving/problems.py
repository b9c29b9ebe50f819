"""Refusals as answers: problem documents in the form of RFC 9457.

``detail`` is also what AgentSpec's clients read. Where a field is wrong the document says which and
what was expected, and never what stood there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from agentspec_usage.errors import AgentspecUsageError, WireError

__all__ = ["PROBLEM_TYPE", "Refusal", "problem", "refused", "too_many", "undecodable"]

PROBLEM_TYPE = "application/problem+json"


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


def refused(refusal: Refusal) -> Response:
    """The answer that ``refusal`` becomes."""
    return problem(refusal.status, str(refusal), headers=refusal.headers)


def undecodable(error: WireError, status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY) -> Response:
    """The answer to a body that does not decode: which field, and what was expected."""
    return problem(status, str(error), field=error.path or None, expected=error.expected)


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
