"""The application of the control port: what is where, and what every error becomes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentspec_usage.errors import WireError
from agentspec_usage.serving.problems import Refusal, problem, refused, undecodable
from agentspec_usage.sidecar.calls import LedgerUnavailableError
from agentspec_usage.sidecar.control.audit import AuditPages
from agentspec_usage.sidecar.control.gate import Gate
from agentspec_usage.sidecar.control.health import HealthPages
from agentspec_usage.sidecar.control.parts import ControlBounds, ControlParts
from agentspec_usage.sidecar.control.usage import UsagePages

__all__ = ["build_control_app"]

Page = Callable[[Request], Awaitable[Response]]

_AGAIN_SECONDS = "5"
_DEFAULT_BOUNDS = ControlBounds()


def build_control_app(parts: ControlParts, bounds: ControlBounds = _DEFAULT_BOUNDS) -> Starlette:
    """The control port of a sidecar made of ``parts``.

    Before the server stops, ``parts.audit.feed.close()`` ends the streams, which otherwise would
    hold it until its deadline.
    """
    gate = Gate(bounds.bodies)
    usage = UsagePages(parts, gate, bounds)
    audit = AuditPages(parts, gate, bounds)
    health = HealthPages(parts)
    pages: tuple[tuple[str, str, Page], ...] = (
        ("GET", "/usage", usage.usage),
        ("GET", "/agentspec/usage", usage.usage),
        ("POST", "/usage/records", usage.take_records),
        ("POST", "/events", audit.take_events),
        ("POST", "/agentspec/events", audit.take_events),
        ("GET", "/audit", audit.audit),
        ("GET", "/audit/stream", audit.stream),
        ("GET", "/health/live", health.live),
        ("GET", "/health/ready", health.ready),
        ("GET", "/metrics", health.metrics),
    )
    return Starlette(
        routes=[Route(path, page, methods=[method]) for method, path, page in pages],
        exception_handlers={
            Refusal: _refused,
            WireError: _undecodable,
            LedgerUnavailableError: _unavailable,
            HTTPException: _no_such_page,
            Exception: _failed,
        },
    )


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # registered for it alone
    return refused(error)


async def _undecodable(_: Request, error: Exception) -> Response:
    assert isinstance(error, WireError)  # registered for it alone
    return undecodable(error)


async def _unavailable(_: Request, error: Exception) -> Response:
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the ledger cannot keep anything now: send it again",
        headers={"Retry-After": _AGAIN_SECONDS},
    )


async def _no_such_page(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for it alone
    return problem(
        HTTPStatus(error.status_code), "the sidecar has no such page", headers=error.headers
    )


async def _failed(_: Request, error: Exception) -> Response:
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the sidecar failed")
