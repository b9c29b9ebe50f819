"""The registry of one sidecar."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from agentspec_usage import __version__
from agentspec_usage.sidecar.audit.log import Audit
from agentspec_usage.sidecar.budget.pod import PodBudget
from agentspec_usage.sidecar.calls import UsageView
from agentspec_usage.sidecar.metrics.parts import (
    AuditCollector,
    BudgetCollector,
    LedgerCollector,
    UsageLogCollector,
)
from agentspec_usage.sidecar.usage_log.log import UsageLog

__all__ = ["new_registry", "watch_parts"]


def new_registry() -> CollectorRegistry:
    """A registry that knows of the process and the version."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    Gauge(
        "agentspec_usage_build_info", "1, with the version", ["version"], registry=registry
    ).labels(__version__).set(1)
    return registry


def watch_parts(
    registry: CollectorRegistry,
    usage: UsageView,
    audit: Audit,
    usage_log: UsageLog | None,
    budget: PodBudget | None,
) -> None:
    """Show what the parts count themselves, from now on. Once per registry."""
    registry.register(LedgerCollector(usage))
    registry.register(AuditCollector(audit))
    if usage_log is not None:
        registry.register(UsageLogCollector(usage_log))
    if budget is not None:
        registry.register(BudgetCollector(budget))
