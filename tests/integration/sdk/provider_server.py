"""A provider on loopback: answers over HTTP what the test composed, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.integration.sdk.bodies import (
    ANTHROPIC_EVENTS,
    ANTHROPIC_MESSAGE,
    CHAT,
    EMBEDDINGS,
    RESPONSE,
    chat_chunks,
    response_events,
    sse,
)

__all__ = ["Asked", "ProviderServer", "provider_server"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Reply = dict[str, Any] | list[bytes]


@dataclass
class ProviderServer:
    """Every answer is as published, unless ``status`` or ``cut_after`` say otherwise.

    ``cut_after`` is how many events of a stream are sent before the connection breaks.
    """

    url: str
    asked: list[Asked] = field(default_factory=list)
    status: int = 200
    cut_after: int | None = None
    bodies: dict[str, Any] = field(default_factory=dict)
    last_event: str = "response.completed"

    def reply(self, path: str, body: dict[str, Any]) -> Reply:
        streamed = body.get("stream", False)
        if path in self.bodies:
            given: Reply = self.bodies[path]
            return given
        replies: dict[str, Callable[[], Reply]] = {
            "/v1/chat/completions": lambda: self._chat(body) if streamed else CHAT,
            "/v1/responses": lambda: (
                sse(response_events(self.last_event), named=True, done=False)
                if streamed
                else RESPONSE
            ),
            "/v1/embeddings": lambda: EMBEDDINGS,
            "/v1/messages": lambda: (
                sse(ANTHROPIC_EVENTS, named=True, done=False) if streamed else ANTHROPIC_MESSAGE
            ),
            "/v1/messages/count_tokens": lambda: {"input_tokens": 14},
        }
        return replies[path]()

    def _chat(self, body: dict[str, Any]) -> Reply:
        wanted = (body.get("stream_options") or {}).get("include_usage", False)
        return sse(chat_chunks(include_usage=wanted), named=False, done=True)


@contextmanager
def provider_server() -> Iterator[ProviderServer]:
    """A server for the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """A stored response, read again."""
            path = self.path.partition("?")[0]
            headers = {name.lower(): value for name, value in self.headers.items()}
            provider.asked.append(Asked(path, headers, {}))
            stored = provider.bodies[path]
            if isinstance(stored, list):
                self._stream(stored)
            else:
                self._whole(stored, provider.status)

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = json.loads(self.rfile.read(length))
            path = self.path.partition("?")[0]
            headers = {name.lower(): value for name, value in self.headers.items()}
            provider.asked.append(Asked(path, headers, body))
            if provider.status != 200:
                self._whole({"error": {"type": "error", "message": "no"}}, provider.status)
                return
            reply = provider.reply(path, body)
            if isinstance(reply, list):
                self._stream(reply)
            else:
                self._whole(reply, 200)

        def _whole(self, document: dict[str, Any], status: int) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, events: list[bytes]) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for event in events[: provider.cut_after]:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            if provider.cut_after is None:
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider = ProviderServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
