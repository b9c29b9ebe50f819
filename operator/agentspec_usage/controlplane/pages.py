"""``/health/live``, ``/health/ready``, ``/metrics``: for Kubernetes and Prometheus, without a key.

Alive is a control plane whose writer runs; a dead one is only helped by a restart. Ready is one
whose newest transaction did not fail, so that agents are sent where their usage is taken.
"""

from __future__ import annotations

from http import HTTPStatus

from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from agentspec_usage.controlplane.metrics import Metrics, WatchedStore

__all__ = ["Pages"]


class Pages:
    def __init__(self, store: WatchedStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    async def live(self, request: Request) -> Response:
        """Whether a restart would help."""
        return _verdict("" if self._store.alive else "store: its writer has ended")

    async def ready(self, request: Request) -> Response:
        """Whether usage is taken now."""
        if not self._store.alive:
            return _verdict("store: its writer has ended")
        failing = self._store.stats.failing
        return _verdict(f"store: the newest transaction failed: {failing}" if failing else "")

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text form."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._metrics.registry), headers={"Content-Type": content_type})


def _verdict(failure: str) -> Response:
    if failure:
        return PlainTextResponse(f"{failure}\n", HTTPStatus.SERVICE_UNAVAILABLE)
    return PlainTextResponse("ok\n")
