"""A control port in this process: the shipped application, spoken to by httpx."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from agentspec_usage.sidecar.audit.feed import QUEUE_LENGTH
from agentspec_usage.sidecar.audit.log import Audit
from agentspec_usage.sidecar.budget.file import SpendingFile
from agentspec_usage.sidecar.budget.limits import BudgetLimits
from agentspec_usage.sidecar.budget.pod import PodBudget
from agentspec_usage.sidecar.calls import ExchangeObserver, ProxiedEnd, ProxiedRequest
from agentspec_usage.sidecar.control.app import build_control_app
from agentspec_usage.sidecar.control.parts import ControlBounds, ControlParts
from agentspec_usage.sidecar.metrics.exchanges import ExchangeMetrics
from agentspec_usage.sidecar.metrics.registry import new_registry, watch_parts
from agentspec_usage.sidecar.usage_log.log import UsageLog, open_usage_log
from tests.fakes.hand_clock import HandClock
from tests.fakes.pod_ledger import FakePodLedger
from tests.unit.sidecar.audit.audits import an_audit
from tests.unit.sidecar.proxied import a_call, a_request, an_end

__all__ = ["ELSEWHERE", "Sidecar", "a_sidecar", "push", "spoken_to"]

ELSEWHERE = ("10.1.2.3", 40_000)


@dataclass
class Sidecar:
    """The parts around the proxy and the ledger, put together as in the program."""

    clock: HandClock
    ledger: FakePodLedger
    audit: Audit
    usage_log: UsageLog
    budget: PodBudget
    metrics: ExchangeMetrics
    parts: ControlParts

    @property
    def observers(self) -> tuple[ExchangeObserver, ...]:
        return (self.audit, self.usage_log, self.metrics)

    def begin(self, request: ProxiedRequest) -> None:
        refused = self.budget.admit(request)
        assert refused is None
        for observer in self.observers:
            observer.began(request)

    def end(self, request: ProxiedRequest, end: ProxiedEnd) -> None:
        counted = end.extraction.calls if end.extraction is not None else ()
        self.budget.settle(request, end, counted)
        for observer in self.observers:
            observer.ended(request, end, counted)

    def exchange(self, key: str, **changes: Any) -> None:
        """One chat call from begin to end."""
        request = a_request(key, **changes)
        self.begin(request)
        self.end(request, an_end(a_call()))

    def counted(self, name: str, **labels: str) -> float:
        """A value of /metrics; 0 where it has none."""
        return self.parts.registry.get_sample_value(f"agentspec_sidecar_{name}", labels) or 0.0

    def close(self) -> None:
        self.audit.feed.close()
        self.budget.close()
        assert self.usage_log.close()


def a_sidecar(
    directory: Path, *, ring_size: int = 100, queue_length: int = QUEUE_LENGTH, **limits: Any
) -> Sidecar:
    clock = HandClock()
    ledger = FakePodLedger()
    audit = an_audit(ledger, clock, size=ring_size, queue_length=queue_length)
    usage_log = open_usage_log(directory / "logs", clock, max_bytes=10**7, kept=2)
    budget = PodBudget(
        BudgetLimits.model_validate(limits),
        SpendingFile(directory / "state" / "budget"),
        clock,
        audit.announce,
    )
    registry = new_registry()
    metrics = ExchangeMetrics(registry)
    watch_parts(registry, ledger, audit, usage_log, budget)
    parts = ControlParts(ledger, ledger, audit, registry, clock, usage_log, budget)
    return Sidecar(clock, ledger, audit, usage_log, budget, metrics, parts)


@asynccontextmanager
async def spoken_to(
    sidecar: Sidecar,
    *,
    peer: tuple[str, int] = ("127.0.0.1", 40_000),
    bounds: ControlBounds | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    app = build_control_app(sidecar.parts, bounds or ControlBounds())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=peer)
    async with httpx.AsyncClient(transport=transport, base_url="http://sidecar") as http:
        yield http


def push(request_id: str, *events: dict[str, Any]) -> bytes:
    return json.dumps({"requestId": request_id, "agentName": "a", "events": events}).encode()
