"""``/livez``, ``/readyz`` and ``/metrics``, served by a thread.

On the event loop a probe would wait behind the work, and Kubernetes would kill a pod for being busy
(measured at start with thousands of objects). The thread reads what the loop leaves behind and
never asks it anything.

- ``/livez``: 200 while every loop beats; else 503 with the names of those that do not.
- ``/readyz``: 200 when each check passes. A standby is ready: to take over is all that it is for.
- ``/metrics``: Prometheus' text form, or OpenMetrics to whom asks for it.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from agentspec_usage.controller.heartbeats import Heartbeats

__all__ = ["HealthServer", "ReadinessCheck"]

logger = logging.getLogger(__name__)

ReadinessCheck = Callable[[], str | None]
"""None when ready, else what is missing. Called in another thread: it reads and never waits."""

_CONNECTIONS = 16
_SLOWEST_CLIENT = 5.0
_TEXT = "text/plain; charset=utf-8"


class HealthServer:
    """Serves from ``start`` to ``stop``. Port 0 takes a free one; ``port`` then says which."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        heartbeats: Heartbeats,
        ready: Mapping[str, ReadinessCheck],
        registry: CollectorRegistry,
    ) -> None:
        pages = _Pages(heartbeats, ready, registry)
        self._server = _Server(address, port, pages)
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.1,), name="health", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close the port. Returns when the thread has ended, within a fraction of a second."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Pages:
    """What each path answers."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        ready: Mapping[str, ReadinessCheck],
        registry: CollectorRegistry,
    ) -> None:
        self._heartbeats = heartbeats
        self._ready = ready
        self._registry = registry

    def answer(self, path: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        match path:
            case "/livez":
                return _verdict(self._heartbeats.silent())
            case "/readyz":
                missing = {name: check() for name, check in self._ready.items()}
                return _verdict({name: text for name, text in missing.items() if text})
            case "/metrics":
                encode, content_type = choose_encoder(accept)
                return HTTPStatus.OK, content_type, encode(self._registry)
            case _:
                return HTTPStatus.NOT_FOUND, _TEXT, b"not found\n"


def _verdict(failures: Mapping[str, str]) -> tuple[HTTPStatus, str, bytes]:
    if not failures:
        return HTTPStatus.OK, _TEXT, b"ok\n"
    lines = "".join(f"{name}: {text}\n" for name, text in failures.items())
    return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, lines.encode()


class _Server(ThreadingHTTPServer):
    """A bounded number of short connections: whoever reaches the port cannot hoard threads."""

    daemon_threads = True

    def __init__(self, address: str, port: int, pages: _Pages) -> None:
        self.pages = pages
        self._free = BoundedSemaphore(_CONNECTIONS)
        if ":" in address:
            self.address_family = socket.AF_INET6
        super().__init__((address, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is no event; anything else is a fault of ours."""
        if not isinstance(sys.exception(), OSError):
            logger.exception("a health page failed")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SLOWEST_CLIENT
    server_version = "agentspec-usage"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(body_too=True)

    def do_HEAD(self) -> None:
        self._answer(body_too=False)

    def _answer(self, *, body_too: bool) -> None:
        path = self.path.partition("?")[0]
        status, content_type, body = self.server.pages.answer(path, self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if body_too:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        """Probes are not logged."""
