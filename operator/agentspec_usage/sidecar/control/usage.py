"""``GET /usage`` and ``POST /usage/records``: the pod's one ledger, read and fed."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from agentspec_usage.serving.body import read_body
from agentspec_usage.sidecar.control.gate import Gate
from agentspec_usage.sidecar.control.parts import ControlBounds, ControlParts
from agentspec_usage.wire.records_answer import encode_records_answer
from agentspec_usage.wire.records_encoding import MAX_RECORDS_BODY
from agentspec_usage.wire.usage_encoding import encode_usage

__all__ = ["UsagePages"]

_JSON = "application/json"


class UsagePages:
    def __init__(self, parts: ControlParts, gate: Gate, bounds: ControlBounds) -> None:
        self._parts = parts
        self._gate = gate
        self._bounds = bounds

    async def usage(self, request: Request) -> Response:
        """The pod's cumulative snapshot. Reading changes nothing."""
        ring = self._parts.audit.ring
        extra: dict[str, str | int] = {
            "sampleSize": len(ring),
            "source": self._parts.usage.facts().source,
        }
        if ring.overwrites:
            # The sample is no longer all there was; the counts are beside it and stay whole.
            extra["ringOverwrites"] = ring.overwrites
        body = encode_usage([self._parts.usage.snapshot()], extra=extra)
        return Response(body, headers={"Cache-Control": "no-store"}, media_type=_JSON)

    async def take_records(self, request: Request) -> Response:
        """Frames of the pod's SDKs, answered once the ledger's file has them."""
        with self._gate.of_this_pod(request):
            body = await read_body(request, MAX_RECORDS_BODY, self._bounds.body_seconds, gzip=True)
            answer = await self._parts.frames.take(body)
        return Response(encode_records_answer(answer), media_type=_JSON)
