"""What the operator tells Prometheus: each metric once, its name, its labels, what it counts.

Names are client-go's and controller-runtime's where those have one, so that dashboards and alerts
made for other operators work here; the rest starts with ``agentspec_``. Label values are closed
sets: nothing that a tenant writes becomes a label. Parts that count for themselves (writer,
scheduler, register, pod watch) are read when Prometheus asks, in the health thread: each gives
plain numbers, and a number that is one event old is still right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from agentspec_usage import __version__
from agentspec_usage.controller.observation_sender import ObservationStats
from agentspec_usage.controller.writer import WriterStats

__all__ = ["HandIns", "Metrics", "Queue", "Writes"]

_CONTROLLER = "agentobservation"
_LEASE = "agentspec-usage-operator"
_LATENESS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_LAG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_SCRAPE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Writes(Protocol):
    """What the status writer counts."""

    @property
    def stats(self) -> WriterStats: ...


class Queue(Protocol):
    """What the scheduler has due and under way."""

    @property
    def waiting(self) -> int: ...

    @property
    def running(self) -> int: ...


class HandIns(Protocol):
    """What the sender of observations counts."""

    @property
    def stats(self) -> ObservationStats: ...


class Metrics:
    """The metrics of one operator, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Gauge(
            "agentspec_usage_build_info", "1, with the version", ["version"], registry=registry
        ).labels(__version__).set(1)
        self.leading = Gauge(
            "leader_election_master_status",
            "1 while this replica holds the Lease",
            ["name"],
            registry=registry,
        ).labels(_LEASE)
        self.requests = Counter(
            "rest_client_requests_total",
            "Requests to the API server by HTTP method and code; <error> for no answer",
            ["method", "code"],
            registry=registry,
        )
        self.watch_events = Counter(
            "agentspec_watch_events_total",
            "Events of the AgentObservation watch, echoes of own writes included",
            registry=registry,
        )
        self.watch_drift = Counter(
            "agentspec_watch_drift_total",
            "Objects that the watch had wrong, as found by a sweep",
            registry=registry,
        )
        self.scrapes = Counter(
            "agentspec_scrapes_total",
            "Scrapes by outcome: ok, or why there was no reading",
            ["outcome"],
            registry=registry,
        )
        self.scrape_seconds = Histogram(
            "agentspec_scrape_duration_seconds",
            "Seconds of a scrape, from connect to the last byte or the failure",
            buckets=_SCRAPE,
            registry=registry,
        )
        self.lateness = Histogram(
            "agentspec_scrape_lateness_seconds",
            "Seconds from the moment a tick was due to its start: how saturated the operator is",
            buckets=_LATENESS,
            registry=registry,
        )
        self.tick_errors = Counter(
            "controller_runtime_reconcile_errors_total",
            "Ticks that failed by a fault of the operator itself",
            ["controller"],
            registry=registry,
        ).labels(_CONTROLLER)
        self.lag = Histogram(
            "agentspec_event_loop_lag_seconds",
            "Seconds by which a timer of the event loop runs late",
            buckets=_LAG,
            registry=registry,
        )

    def request_answered(self, method: str, code: str) -> None:
        self.requests.labels(method, code).inc()

    def scraped(self, outcome: str, seconds: float) -> None:
        self.scrapes.labels(outcome).inc()
        self.scrape_seconds.observe(seconds)

    def late(self, seconds: float) -> None:
        self.lateness.observe(seconds)

    def tick_failed(self) -> None:
        self.tick_errors.inc()

    def drifted(self, objects: int) -> None:
        self.watch_drift.inc(objects)

    def loop_lag(self, seconds: float) -> None:
        self.lag.observe(seconds)

    def watch_parts(self, objects: Sized, pods: Sized, writer: Writes, queue: Queue) -> None:
        """Show what these count themselves, from now on. Once per registry."""
        self._gauge("agentspec_observations", "AgentObservations that are known").set_function(
            lambda: len(objects)
        )
        self._gauge("agentspec_pods", "Pods that are known").set_function(lambda: len(pods))
        self._gauge(
            "agentspec_status_writes_pending", "Objects whose status is to be written"
        ).set_function(lambda: writer.stats.dirty)
        Gauge(
            "workqueue_depth", "Ticks that are due and wait", ["name"], registry=self._registry
        ).labels(_CONTROLLER).set_function(lambda: queue.waiting)
        Gauge(
            "controller_runtime_active_workers",
            "Ticks under way",
            ["controller"],
            registry=self._registry,
        ).labels(_CONTROLLER).set_function(lambda: queue.running)
        self._registry.register(_WriteCounts(writer))

    def watch_control_plane(self, sender: HandIns) -> None:
        """Show what is handed in to the control plane, from now on. Once per registry."""
        self._gauge(
            "agentspec_observations_waiting",
            "AgentObservations of which the control plane has not taken the newest reading",
        ).set_function(lambda: sender.stats.waiting)
        self._registry.register(_HandInCounts(sender))

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(name, documentation, registry=self._registry)


class _WriteCounts(Collector):
    """The writer's own counts."""

    def __init__(self, writer: Writes) -> None:
        self._writer = writer

    def collect(self) -> Iterable[Metric]:
        stats = self._writer.stats
        writes = CounterMetricFamily(
            "agentspec_status_writes_total",
            "Status writes by what the API server made of them",
            labels=["result"],
        )
        for result, count in (
            ("written", stats.written),
            ("conflict", stats.conflicts),
            ("gone", stats.gone),
            ("invalid", stats.invalid),
            ("throttled", stats.throttled),
            ("failed", stats.failed),
        ):
            writes.add_metric([result], count)
        yield writes
        yield CounterMetricFamily(
            "agentspec_status_writes_suppressed_total",
            "Status writes that were not made because nothing had changed by then",
            value=stats.suppressed,
        )


class _HandInCounts(Collector):
    """The sender's own counts."""

    def __init__(self, sender: HandIns) -> None:
        self._sender = sender

    def collect(self) -> Iterable[Metric]:
        stats = self._sender.stats
        requests = CounterMetricFamily(
            "agentspec_control_plane_requests_total",
            "Requests to the control plane by what came of them",
            labels=["result"],
        )
        for result, count in (
            ("answered", stats.answered),
            ("failed", stats.failed),
            ("refused", stats.refused),
        ):
            requests.add_metric([result], count)
        yield requests
