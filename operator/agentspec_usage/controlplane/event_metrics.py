"""What the buffer of usage events tells Prometheus: above all, what it had to drop."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agentspec_usage.controlplane.event_flushing import EventFlushing

__all__ = ["watch_events"]


def watch_events(registry: CollectorRegistry, flushing: EventFlushing) -> None:
    """Show what ``flushing`` counts itself, from now on. Once per registry."""
    registry.register(_Events(flushing))


class _Events(Collector):
    def __init__(self, flushing: EventFlushing) -> None:
        self._flushing = flushing

    def collect(self) -> Iterable[Metric]:
        stats = self._flushing.stats
        events = CounterMetricFamily(
            "agentspec_events_total", "Usage events by what became of them", labels=["result"]
        )
        events.add_metric(["queued"], stats.total_enqueued)
        events.add_metric(["flushed"], stats.total_flushed)
        events.add_metric(["dropped"], stats.total_dropped)
        events.add_metric(["repeated"], stats.total_repeated)
        events.add_metric(["set_aside"], stats.total_set_aside)
        yield events
        yield GaugeMetricFamily(
            "agentspec_events_waiting", "Usage events that are not durable yet", stats.queue_size
        )
