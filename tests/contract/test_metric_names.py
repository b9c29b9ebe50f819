"""Alerts and dashboard speak of metrics that the program they watch has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agentspec_usage.controller.metrics import Metrics
from agentspec_usage.controller.observation_sender import ObservationStats
from agentspec_usage.controller.writer import WriterStats
from agentspec_usage.controlplane import metrics as controlplane
from agentspec_usage.store.sql import writer as store
from charts.generate import CHART

FROM_ELSEWHERE = {"up", "kube_lease_renew_time"}
"""Prometheus' own, and kube-state-metrics'."""

NAME = re.compile(r"\b([a-z]+(?:_[a-z]+)+|up)\{")


class NoWrites:
    """Counts of a writer that wrote nothing."""

    stats = WriterStats(0, 0, 0, 0, 0, 0, 0, 0, 0)


class NothingDue:
    """A scheduler without work."""

    waiting = 0
    running = 0


class EmptyStore:
    """A store into which nothing was written."""

    stats = store.WriterStats()
    waiting = 0
    alive = True


class NothingHandedIn:
    """A control plane that was never asked."""

    stats = ObservationStats(0, 0, 0, 0)


def of_operator(registry: CollectorRegistry) -> None:
    metrics = Metrics(registry)
    metrics.watch_parts([], [], NoWrites(), NothingDue())
    metrics.watch_control_plane(NothingHandedIn())


def of_control_plane(registry: CollectorRegistry) -> None:
    controlplane.Metrics(registry).watch_store(EmptyStore())


WATCHING = {
    "templates/prometheusrule.yaml": of_operator,
    "files/dashboard.json": of_operator,
    "templates/controlplane/prometheusrule.yaml": of_control_plane,
}
"""Each file and the program of which it speaks."""


def exposed(fill: Callable[[CollectorRegistry], None]) -> set[str]:
    """The names that /metrics has, histograms' buckets among them."""
    registry = CollectorRegistry()
    fill(registry)
    names: set[str] = set()
    for metric in registry.collect():
        match metric.type:
            case "counter":
                names.add(f"{metric.name}_total")
            case "histogram":
                names |= {f"{metric.name}_{suffix}" for suffix in ("bucket", "sum", "count")}
            case _:
                names.add(metric.name)
    return names


def used() -> Iterator[Any]:
    for path, fill in WATCHING.items():
        text = (CHART / path).read_text(encoding="utf-8")
        for name in sorted(set(NAME.findall(text))):
            yield pytest.param(name, fill, id=f"{path}-{name}")


@pytest.mark.parametrize(("name", "fill"), list(used()))
def test_a_metric_in_use_is_one_that_is_there(
    name: str, fill: Callable[[CollectorRegistry], None]
) -> None:
    assert name in exposed(fill) | FROM_ELSEWHERE


@pytest.mark.parametrize("path", list(WATCHING))
def test_every_file_uses_some(path: str) -> None:
    assert len(set(NAME.findall((CHART / path).read_text(encoding="utf-8")))) > 2
