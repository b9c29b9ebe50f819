"""What the control plane tells Prometheus. Label values are closed sets: an operation's name, a
status code; nothing that a tenant writes becomes a label.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from agentspec_usage import __version__
from agentspec_usage.store.sql.writer import WriterStats

__all__ = ["Metrics", "WatchedStore"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class WatchedStore(Protocol):
    """What the store counts for itself."""

    @property
    def stats(self) -> WriterStats: ...

    @property
    def waiting(self) -> int: ...

    @property
    def alive(self) -> bool: ...


class Metrics:
    """The metrics of one control plane, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Gauge(
            "agentspec_usage_build_info", "1, with the version", ["version"], registry=registry
        ).labels(__version__).set(1)
        self.requests = Counter(
            "agentspec_requests_total",
            "Requests by operation and status code",
            ["operation", "code"],
            registry=registry,
        )
        self.seconds = Histogram(
            "agentspec_request_duration_seconds",
            "Seconds from the request's head to the answer",
            ["operation"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.items = Counter(
            "agentspec_items_stored_total", "Records and aggregates stored", registry=registry
        )
        self.gaps = Counter(
            "agentspec_frame_gaps_total",
            "Frames that began beyond what is stored",
            registry=registry,
        )
        self.conflicts = Counter(
            "agentspec_frame_conflicts_total",
            "Frames that came again in other bytes: the first stays",
            registry=registry,
        )
        self.rolled_back = Counter(
            "agentspec_frames_rolled_back_total",
            "Frames that told of calls which were durable once and are gone",
            registry=registry,
        )
        self.observations = Counter(
            "agentspec_observations_total",
            "Readings of pods that the operator handed in, and questions",
            registry=registry,
        )
        self.observations_left_out = Counter(
            "agentspec_observations_left_out_total",
            "Readings left out, because too many instances of their agent were new",
            registry=registry,
        )
        self.usage_refused = Counter(
            "agentspec_heartbeat_usage_refused_total",
            "Heartbeats that counted for liveness alone, because their usage does not decode",
            registry=registry,
        )
        self._covered = Gauge(
            "agentspec_journal_covered_timestamp_seconds",
            "Up to when what was stored is covered by a head that is signed, or kept in a place",
            ["by"],
            registry=registry,
        )
        self._status_writes = Counter(
            "agentspec_status_writes_total",
            "Status writes of remote agents' objects by what became of them",
            ["result"],
            registry=registry,
        )
        self._api_server_requests = Counter(
            "rest_client_requests_total",
            "Requests to the API server by method and status code",
            ["method", "code"],
            registry=registry,
        )

    def covered(self, by: str, at: int) -> None:
        self._covered.labels(by).set(at / 1000)

    def status_written(self, result: str) -> None:
        self._status_writes.labels(result).inc()

    def api_server_answered(self, method: str, code: str) -> None:
        self._api_server_requests.labels(method, code).inc()

    def watch_store(self, store: WatchedStore) -> None:
        """Show what the store counts itself, from now on. Once per registry."""
        Gauge(
            "agentspec_store_writes_waiting",
            "Writes that wait for a transaction",
            registry=self.registry,
        ).set_function(lambda: store.waiting)
        self.registry.register(_Commits(store))


class _Commits(Collector):
    def __init__(self, store: WatchedStore) -> None:
        self._store = store

    def collect(self) -> Iterable[Metric]:
        stats = self._store.stats
        commits = CounterMetricFamily(
            "agentspec_store_commits_total",
            "Transactions by what became of them",
            labels=["result"],
        )
        commits.add_metric(["committed"], stats.commits)
        commits.add_metric(["failed"], stats.failed_commits)
        yield commits
        yield CounterMetricFamily(
            "agentspec_store_writes_total", "Writes that were committed", value=stats.jobs
        )
