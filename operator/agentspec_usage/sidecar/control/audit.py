"""``GET /audit``, ``GET /audit/stream`` and ``POST /events``: the ring, read and fed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from agentspec_usage.errors import WireError
from agentspec_usage.serving.body import read_body
from agentspec_usage.serving.problems import Refusal, too_many, undecodable
from agentspec_usage.sidecar.audit.entry import AuditEntry, encode_entry
from agentspec_usage.sidecar.audit.events import MAX_PUSH, decode_push
from agentspec_usage.sidecar.audit.log import sse_message
from agentspec_usage.sidecar.control.gate import Gate
from agentspec_usage.sidecar.control.parts import ControlBounds, ControlParts
from agentspec_usage.sidecar.control.stream import EventStream

__all__ = ["AuditPages"]

_MAX_DIGITS = 9


class AuditPages:
    def __init__(self, parts: ControlParts, gate: Gate, bounds: ControlBounds) -> None:
        self._audit = parts.audit
        self._gate = gate
        self._bounds = bounds

    async def audit(self, request: Request) -> Response:
        """The ring, the oldest first; with ``limit`` the newest so many, with ``requestId`` one."""
        entries = self._audit.ring.entries()
        limit = _limit(request)
        request_id = request.query_params.get("requestId")
        if request_id is not None:
            found = self._audit.ring.find(request_id)
            entries = [found] if found is not None else []
        if limit is not None:
            entries = entries[max(len(entries) - limit, 0) :]
        # Milliseconds of work, in which calls through the proxy would wait: entries never change.
        body = await asyncio.to_thread(_listed, entries)
        return Response(body, headers={"Cache-Control": "no-store"}, media_type="application/json")

    async def stream(self, request: Request) -> Response:
        """The ring, then each request when it is over, and again when more is told of it."""
        listener = self._audit.feed.listen()
        if listener is None:
            raise too_many("too many listen already", self._bounds.heartbeat_seconds)
        return _Streaming(
            EventStream(
                self._audit.feed,
                listener,
                (sse_message(encode_entry(entry)) for entry in self._audit.ring.entries()),
                self._bounds.heartbeat_seconds,
                self._bounds.stall_seconds,
            )
        )

    async def take_events(self, request: Request) -> Response:
        """200 when the request is in the ring; 202 when its events are kept until it is."""
        with self._gate.of_this_pod(request):
            body = await read_body(request, MAX_PUSH, self._bounds.body_seconds)
            try:
                push = decode_push(body)
            except WireError as error:
                return undecodable(error, HTTPStatus.BAD_REQUEST)
        if self._audit.take(push):
            return JSONResponse({"requestId": push.request_id, "found": True, "opaViolations": []})
        return JSONResponse(
            {
                "requestId": push.request_id,
                "found": False,
                "message": "kept until the request arrives: no retry needed",
            },
            HTTPStatus.ACCEPTED,
        )


class _Streaming(Response):
    """A handler's answer that is an ASGI application of its own."""

    def __init__(self, stream: EventStream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._stream(scope, receive, send)


def _listed(entries: Iterable[AuditEntry]) -> bytes:
    # One by one: a single dump of all would hold the interpreter as long as the loop would.
    return b"[%b]" % b",".join(json.dumps(encode_entry(entry)).encode("ascii") for entry in entries)


def _limit(request: Request) -> int | None:
    text = request.query_params.get("limit")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise Refusal(HTTPStatus.BAD_REQUEST, "limit: expected a number of entries")
    return int(text)
