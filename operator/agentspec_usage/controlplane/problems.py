"""How every error of the control plane becomes an answer: a problem document (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from agentspec_usage.errors import AgentspecUsageError, WireError
from agentspec_usage.serving.problems import Refusal, problem, refused, undecodable
from agentspec_usage.store.errors import StoreBusyError, StoreUnavailableError

__all__ = ["answer_of"]

_BUSY_SECONDS = 2
"""When to come again after the store was full or failed: a commit takes far less."""


def answer_of(error: AgentspecUsageError) -> Response:
    """The answer that ``error`` becomes."""
    match error:
        case Refusal():
            return refused(error)
        case WireError():
            return undecodable(error)
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
