"""A proxy in front of a real API server, through which a test spoils single answers and watches.

Everything else passes unchanged, streams line by line. It listens on loopback without TLS, in a
thread of its own; the client's credentials go through to the API server, which judges them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import aiohttp
import yaml
from aiohttp import web

__all__ = ["EXPIRED", "Fault", "FaultyProxy"]

Value = TypeVar("Value")

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
_REASONS = {409: "Conflict", 422: "Invalid", 429: "TooManyRequests", 503: "ServiceUnavailable"}

EXPIRED = 410
"""As a fault of a watch: the API server has forgotten the version to go on from."""


@dataclass(slots=True)
class Fault:
    """What becomes of the next ``times`` requests of ``method`` whose path ends with ``path``.

    ``status`` 0 with ``forwarded`` is an answer that is lost on its way back: the API server has
    done what was asked.
    """

    method: str
    path: str
    status: int
    times: int = 1
    watch: bool = False
    forwarded: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def takes(self, request: web.Request) -> bool:
        return (
            self.times > 0
            and request.method == self.method
            and request.path.endswith(self.path)
            and (request.query.get("watch") in ("true", "1")) is self.watch
        )


class FaultyProxy:
    """Give ``kubeconfig`` to the client under test."""

    def __init__(self, upstream: Path, kubeconfig: Path) -> None:
        config = yaml.safe_load(upstream.read_text(encoding="utf-8"))
        cluster = config["clusters"][0]["cluster"]
        self._server = str(cluster["server"]).rstrip("/")
        authority = base64.b64decode(cluster.pop("certificate-authority-data")).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        self._config = config
        self._faults: list[Fault] = []
        self._held: set[str] = set()
        self._streams: list[web.Request] = []
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-proxy")
        self.kubeconfig = kubeconfig
        self.requests: list[tuple[str, str]] = []

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        port = self._run(self._start())
        self._config["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{port}"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(self._config), encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def inject(self, fault: Fault) -> None:
        self._faults.append(fault)

    def count(self, method: str, path: str) -> int:
        """How many requests of ``method`` came for a path with this end."""
        return sum(1 for m, p in list(self.requests) if m == method and p.endswith(path))

    @contextmanager
    def holding(self, path: str) -> Iterator[None]:
        """No line of a watch of ``path`` passes until the end of the block; then all in order."""
        self._run(self._hold(path, held=True))
        try:
            yield
        finally:
            self._run(self._hold(path, held=False))

    def cut(self, path: str) -> None:
        """Break every open watch of ``path``."""
        self._run(self._cut(path))

    async def _start(self) -> int:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        await self._cut("")
        await self._runner.cleanup()
        await self._session.close()

    async def _hold(self, path: str, *, held: bool) -> None:
        if held:
            self._held.add(path)
        else:
            self._held.discard(path)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _cut(self, path: str) -> None:
        for request in list(self._streams):
            if request.path.endswith(path) and request.transport is not None:
                request.transport.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        fault = next((fault for fault in self._faults if fault.takes(request)), None)
        if fault is not None:
            fault.times -= 1
            if not fault.forwarded:
                return _spoiled(fault)
        body = await request.read()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        url = f"{self._server}{request.raw_path}"
        try:
            async with self._session.request(
                request.method, url, data=body or None, headers=headers
            ) as answer:
                if fault is not None:
                    await answer.read()
                    assert request.transport is not None
                    request.transport.abort()
                    return web.Response(status=502)
                return await self._relay(request, answer)
        except aiohttp.ClientError:
            return web.Response(status=502, text="the API server did not answer")

    async def _relay(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        watching = request.query.get("watch") in ("true", "1")
        if watching:
            self._streams.append(request)
        try:
            async for chunk in answer.content.iter_any():
                while watching and any(request.path.endswith(path) for path in self._held):
                    await self._changed.wait()
                await response.write(chunk)
            await response.write_eof()
        finally:
            if watching:
                # A request is equal to nothing but itself.
                self._streams.remove(request)
        return response

    def _run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)


def _spoiled(fault: Fault) -> web.Response:
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": fault.status,
        "reason": _REASONS.get(fault.status, "Expired" if fault.status == EXPIRED else "Unknown"),
        "message": "injected",
    }
    if fault.status == 422:
        cause = {"reason": "FieldValueInvalid", "field": "status", "message": "injected"}
        status["details"] = {"causes": [cause]}
    if fault.watch:
        event = json.dumps({"type": "ERROR", "object": status})
        return web.Response(text=event + "\n", content_type="application/json")
    return web.json_response(status, status=fault.status, headers=fault.headers)
