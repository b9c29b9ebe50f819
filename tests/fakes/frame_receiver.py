"""A receiver of frames over real HTTP on loopback, with a store in memory and faults to order."""

from __future__ import annotations

import gzip
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType

from tests.simulation.frame_store import MemoryStore

__all__ = ["FrameReceiver"]


class FrameReceiver:
    """Use it in ``with``. ``statuses`` are answered first, one a request, without storing.

    A status of 0 closes the connection after the frames were stored: an answer that gets lost.
    """

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.statuses: deque[int] = deque()
        self.headers: list[dict[str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._answer(self)

            def log_message(self, template: str, *arguments: object) -> None:
                """Nothing is written."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/api/v1/usage/records"

    def __enter__(self) -> FrameReceiver:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = gzip.decompress(request.rfile.read(int(request.headers["content-length"])))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        status = self.statuses.popleft() if self.statuses else 200
        answer = b""
        if status in (0, 200):
            answer = self.store.receive(body)
        if status == 0:
            request.close_connection = True
            return
        request.send_response(status)
        if status in (429, 503):
            request.send_header("retry-after", "0")
        request.send_header("content-length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)
