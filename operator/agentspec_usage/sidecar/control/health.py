"""``/health/live``, ``/health/ready`` and ``/metrics``.

Ready speaks AgentSpec's sidecar dialect. A fault of the accounting makes it ``degraded`` and never
unavailable: the proxy still forwards, and a pod that leaves its Services because a log cannot be
written would be the worse fault. There is no score and no grade: they judge an agent against its
manifest, which nobody has here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.sidecar.control.parts import ControlParts

__all__ = ["HealthPages"]


@dataclass(frozen=True, slots=True)
class _Check:
    """``message`` is ours or the operating system's, never a peer's."""

    id: str
    status: str
    severity: str
    message: str


class HealthPages:
    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts

    async def live(self, request: Request) -> Response:
        """Whether a restart would not help: whoever answers this lives."""
        return JSONResponse({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """Whether calls are forwarded, and how well they are counted."""
        checks = self._checks()
        failed = sum(check.status == "fail" for check in checks)
        return JSONResponse(
            {
                "status": "degraded" if failed else "ready",
                "source": "sidecar",
                "timestamp": to_rfc3339(self._parts.clock.now()),
                "summary": {
                    "passed": sum(check.status == "pass" for check in checks),
                    "warnings": sum(check.status == "warn" for check in checks),
                    "failed": failed,
                },
                "checks": [asdict(check) for check in checks],
            },
            headers={"Cache-Control": "no-store"},
        )

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text form, or OpenMetrics to whom asks for it."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._parts.registry), headers={"Content-Type": content_type})

    def _checks(self) -> list[_Check]:
        facts = self._parts.usage.facts()
        checks = [_check("ledger", facts.fault)]
        if not facts.durable_file and not facts.fault:
            checks.append(_no_volume("ledger-file", "a restart begins another instance"))
        if facts.backlog is not None:
            checks.append(_check("forwarding", facts.forward_error))
        if self._parts.usage_log is not None:
            checks.append(_check("usage-log", self._parts.usage_log.stats.fault))
        if self._parts.budget is not None:
            budget = self._parts.budget.facts()
            if budget.durable or budget.fault:
                checks.append(_check("budget-file", budget.fault))
            else:
                checks.append(_no_volume("budget-file", "a restart forgets what was used"))
        return checks


def _check(name: str, fault: str) -> _Check:
    if fault:
        return _Check(name, "fail", "warning", fault)
    return _Check(name, "pass", "info", "ok")


def _no_volume(name: str, consequence: str) -> _Check:
    """As it is configured: worth knowing, and no fault."""
    return _Check(name, "warn", "info", f"no volume: {consequence}")
