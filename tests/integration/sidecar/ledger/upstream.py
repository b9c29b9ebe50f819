"""A provider on loopback that knows the truth: every answer is another response, with its own id
and its own usage, and what was served is counted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Upstream", "upstream_server"]


@dataclass
class Upstream:
    """``held`` keeps answers back while it is cleared."""

    url: str
    served: dict[str, int] = field(default_factory=dict)
    """Tokens by response id."""
    asked: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def tokens(self) -> int:
        with self.lock:
            return sum(self.served.values())

    def serve(self) -> bytes:
        """The next answer."""
        with self.lock:
            number = len(self.served) + 1
            prompt, completion = 10 + number % 7, number % 5
            name = f"chatcmpl-{number:029d}"
            self.served[name] = prompt + completion
        return json.dumps(
            {
                "id": name,
                "object": "chat.completion",
                "created": 1_790_000_000,
                "model": "gpt-5-2026-01-01",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": "yes"},
                    }
                ],
                "usage": {
                    "prompt_tokens": prompt,
                    "completion_tokens": completion,
                    "total_tokens": prompt + completion,
                },
            }
        ).encode()


@contextmanager
def upstream_server() -> Iterator[Upstream]:
    """A server for the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            with upstream.lock:
                upstream.asked += 1
            upstream.held.wait(30)
            body = upstream.serve()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True  # a proxy that was killed

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    upstream = Upstream(f"http://127.0.0.1:{server.server_port}/v1")
    upstream.held.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield upstream
    finally:
        upstream.held.set()
        server.shutdown()
        server.server_close()
        thread.join()
