"""The usage endpoint as a WSGI app, and a line that mounts it in Flask.

``app.wsgi_app = with_usage(app.wsgi_app, ledger)``
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from agentspec_usage.sdk.endpoint import HealthCheck, Snapshots, UsageEndpoint

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["usage_wsgi", "with_usage"]

_MOUNTED_AT = "/agentspec/"


def usage_wsgi(source: Snapshots, *, health: HealthCheck | None = None) -> WSGIApplication:
    """The app that answers for ``source``; ``health`` says how the agent is."""
    endpoint = UsageEndpoint(source) if health is None else UsageEndpoint(source, health)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        answer = endpoint.answer(method, environ.get("PATH_INFO", ""))
        start_response(answer.status, list(answer.headers))
        return [b"" if method == "HEAD" else answer.body]

    return app


def with_usage(
    app: WSGIApplication, source: Snapshots, *, health: HealthCheck | None = None
) -> WSGIApplication:
    """``app``, and beside it ``/agentspec/usage`` and ``/agentspec/health``."""
    usage = usage_wsgi(source, health=health)

    def both(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        inside = environ.get("PATH_INFO", "").startswith(_MOUNTED_AT)
        return (usage if inside else app)(environ, start_response)

    return both
