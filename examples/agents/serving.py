"""Serve a few paths over HTTP from a background thread, with the standard library."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

__all__ = ["Answer", "Route", "listen", "serve"]

MAX_REQUEST = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"


Route = Callable[[bytes], Answer]
"""Takes the request's body (empty for GET)."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, routes: Mapping[str, Route]) -> None:
        address = listener.getsockname()[:2]
        super().__init__(address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.routes = routes


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(f"GET {self.path}", b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_REQUEST:
            self._send(Answer(b'{"error":"too large"}', 413))
            return
        self._answer(f"POST {self.path}", self.rfile.read(int(length)))

    def _answer(self, request: str, body: bytes) -> None:
        route = self.server.routes.get(request)
        self._send(route(body) if route else Answer(b'{"error":"not found"}', 404))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Not a line for every scrape."""


def listen(address: str, port: int) -> socket.socket:
    """A listening socket."""
    return socket.create_server((address, port))


def serve(listener: socket.socket, routes: Mapping[str, Route]) -> None:
    """Serve ``routes``, keyed by method and path, until the process ends."""
    server = _Server(listener, routes)
    Thread(target=server.serve_forever, daemon=True, name="http").start()
