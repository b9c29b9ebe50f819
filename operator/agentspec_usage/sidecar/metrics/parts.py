"""What the sidecar's parts count for themselves, read when Prometheus asks."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agentspec_usage.sidecar.audit.log import Audit
from agentspec_usage.sidecar.budget.pod import PodBudget
from agentspec_usage.sidecar.calls import UsageView
from agentspec_usage.sidecar.usage_log.log import UsageLog

__all__ = ["AuditCollector", "BudgetCollector", "LedgerCollector", "UsageLogCollector"]


class LedgerCollector(Collector):
    """The pod's ledger, its file, and what the control plane does not have yet."""

    def __init__(self, usage: UsageView) -> None:
        self._usage = usage

    def collect(self) -> Iterable[Metric]:
        facts = self._usage.facts()
        gauges: tuple[tuple[str, str, float | None], ...] = (
            (
                "ledger_durable",
                "1 while what is counted survives this process",
                facts.durable_file,
            ),
            (
                "ledger_fault",
                "1 while something is wrong with the ledger's file",
                bool(facts.fault),
            ),
            ("ledger_file_bytes", "Size of the ledger's file", facts.file_bytes),
            ("ledger_open_calls", "Calls under way", facts.open_calls),
            ("ledger_listed_reports", "Reports of SDKs that may still count", facts.listed_reports),
            (
                "forward_backlog_calls",
                "Calls that the control plane does not have yet",
                facts.backlog,
            ),
        )
        for name, text, value in gauges:
            if value is not None:
                yield GaugeMetricFamily(f"agentspec_sidecar_{name}", text, value=value)
        for name, text, count in (
            ("ledger_calls", "Calls that entered the ledger", facts.seq),
            ("ledger_lost_events", "Events that a restart forgets", facts.lost_events),
            ("forward_failures", "Deliveries that failed", facts.forward_failures),
        ):
            yield CounterMetricFamily(f"agentspec_sidecar_{name}", text, value=count)


class AuditCollector(Collector):
    """The ring, and who listens."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def collect(self) -> Iterable[Metric]:
        ring, early, feed = self._audit.ring, self._audit.early, self._audit.feed
        for name, text, value in (
            ("ring_entries", "Requests in the audit ring", len(ring)),
            ("early_requests", "Requests of which events came first", len(early)),
            ("stream_listeners", "Listeners of the audit stream", len(feed)),
        ):
            yield GaugeMetricFamily(f"agentspec_sidecar_{name}", text, value=value)
        for name, text, count in (
            ("ring_overwrites", "Entries that newer ones took the place of", ring.overwrites),
            (
                "ring_details_left_out",
                "Details that the ring had no room for",
                ring.details_left_out,
            ),
            ("early_given_up", "Requests whose events were forgotten", early.given_up),
            ("stream_dropped", "Listeners that were too slow", feed.dropped),
            ("events_not_understood", "Pushed events left out", self._audit.not_understood),
        ):
            yield CounterMetricFamily(f"agentspec_sidecar_{name}", text, value=count)


class UsageLogCollector(Collector):
    """``token-usage.jsonl``."""

    def __init__(self, log: UsageLog) -> None:
        self._log = log

    def collect(self) -> Iterable[Metric]:
        stats = self._log.stats
        yield CounterMetricFamily(
            "agentspec_sidecar_usage_log_lines", "Lines written", value=stats.written
        )
        dropped = CounterMetricFamily(
            "agentspec_sidecar_usage_log_dropped",
            "Lines lost: the queue was full, or the disk refused them",
            labels=["reason"],
        )
        dropped.add_metric(["queue"], stats.dropped_queue)
        dropped.add_metric(["disk"], stats.dropped_disk)
        yield dropped


class BudgetCollector(Collector):
    """The budget of the present window."""

    def __init__(self, budget: PodBudget) -> None:
        self._budget = budget

    def collect(self) -> Iterable[Metric]:
        facts = self._budget.facts()
        limits = GaugeMetricFamily(
            "agentspec_sidecar_budget_limit", "What is configured", labels=["threshold"]
        )
        announced = GaugeMetricFamily(
            "agentspec_sidecar_budget_reached",
            "1 when the threshold was announced in this window",
            labels=["threshold"],
        )
        for threshold, limit in facts.limits.items():
            limits.add_metric([str(threshold)], limit)
            announced.add_metric([str(threshold)], threshold in facts.used.announced)
        refused = CounterMetricFamily(
            "agentspec_sidecar_budget_refused", "Requests refused", labels=["threshold"]
        )
        for threshold, count in facts.refused.items():
            refused.add_metric([str(threshold)], count)
        yield from (limits, announced, refused)
        for name, text, value in (
            ("used_tokens", "Tokens used in this window", facts.used.tokens),
            ("used_requests", "Calls made in this window", facts.used.requests),
            ("reserved_tokens", "Tokens that calls under way may still write", facts.reserved),
            ("under_way", "Calls under way", facts.under_way),
            ("durable", "1 while a restart would know what was used", facts.durable),
        ):
            yield GaugeMetricFamily(f"agentspec_sidecar_budget_{name}", text, value=value)
