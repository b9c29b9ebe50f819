"""Prometheus gets the names that dashboards of other operators know, and nothing unbounded."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from agentspec_usage.controller.metrics import Metrics
from agentspec_usage.controller.observation_sender import ObservationStats
from agentspec_usage.controller.writer import WriterStats


@dataclass
class Writer:
    written: int

    @property
    def stats(self) -> WriterStats:
        return WriterStats(self.written, 7, 2, 0, 0, 1, 3, 5, 1)


@dataclass
class Queue:
    waiting: int
    running: int


def test_each_call_shows_as_its_metric() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)

    metrics.leading.set(1)
    metrics.request_answered("PATCH", "200")
    metrics.request_answered("GET", "<error>")
    metrics.scraped("ok", 0.02)
    metrics.scraped("Timeout", 5.0)
    metrics.late(0.3)
    metrics.tick_failed()
    metrics.drifted(2)
    metrics.watch_events.inc()
    metrics.loop_lag(0.001)
    value = registry.get_sample_value

    name = {"name": "agentspec-usage-operator"}
    assert value("leader_election_master_status", name) == 1
    assert value("rest_client_requests_total", {"method": "PATCH", "code": "200"}) == 1
    assert value("rest_client_requests_total", {"method": "GET", "code": "<error>"}) == 1
    assert value("agentspec_scrapes_total", {"outcome": "ok"}) == 1
    assert value("agentspec_scrapes_total", {"outcome": "Timeout"}) == 1
    assert value("agentspec_scrape_duration_seconds_count") == 2
    assert value("agentspec_scrape_lateness_seconds_bucket", {"le": "0.5"}) == 1
    assert value("agentspec_scrape_lateness_seconds_bucket", {"le": "0.25"}) == 0
    controller = {"controller": "agentobservation"}
    assert value("controller_runtime_reconcile_errors_total", controller) == 1
    assert value("agentspec_watch_drift_total") == 2
    assert value("agentspec_watch_events_total") == 1
    assert value("agentspec_event_loop_lag_seconds_count") == 1


def test_the_parts_are_read_when_prometheus_asks() -> None:
    registry = CollectorRegistry()
    objects, pods, writer, queue = [1, 2], [1], Writer(10), Queue(4, 3)
    Metrics(registry).watch_parts(objects, pods, writer, queue)
    objects.append(3)
    writer.written, queue.waiting = 11, 6
    value = registry.get_sample_value

    assert value("agentspec_observations") == 3
    assert value("agentspec_pods") == 1
    assert value("workqueue_depth", {"name": "agentobservation"}) == 6
    assert value("controller_runtime_active_workers", {"controller": "agentobservation"}) == 3
    assert value("agentspec_status_writes_total", {"result": "written"}) == 11
    assert value("agentspec_status_writes_total", {"result": "conflict"}) == 2
    assert value("agentspec_status_writes_total", {"result": "failed"}) == 3
    assert value("agentspec_status_writes_suppressed_total") == 7
    assert value("agentspec_status_writes_pending") == 5


@dataclass
class Sender:
    answered: int

    @property
    def stats(self) -> ObservationStats:
        return ObservationStats(self.answered, failed=2, refused=1, waiting=9)


def test_what_the_control_plane_took_is_read_when_prometheus_asks() -> None:
    registry, sender = CollectorRegistry(), Sender(3)
    Metrics(registry).watch_control_plane(sender)
    sender.answered = 4
    value, name = registry.get_sample_value, "agentspec_control_plane_requests_total"

    assert value(name, {"result": "answered"}) == 4
    assert value(name, {"result": "failed"}) == 2
    assert value(name, {"result": "refused"}) == 1
    assert value("agentspec_observations_waiting") == 9


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("process_resident_memory_bytes", id="memory"),
        pytest.param("python_gc_collections_total", id="garbage-collector"),
        pytest.param("agentspec_usage_build_info", id="version"),
    ],
)
def test_the_process_itself_is_shown(name: str) -> None:
    registry = CollectorRegistry()
    Metrics(registry)

    assert f"\n{name}".encode() in generate_latest(registry)


def test_two_operators_in_one_process_share_nothing() -> None:
    one, other = CollectorRegistry(), CollectorRegistry()
    Metrics(one).drifted(1)
    Metrics(other)

    assert other.get_sample_value("agentspec_watch_drift_total") == 0
