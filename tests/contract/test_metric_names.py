"""Alerts and dashboard speak of metrics that the operator has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agentspec_usage.controller.metrics import Metrics
from agentspec_usage.controller.writer import WriterStats
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


@pytest.fixture(scope="module")
def exposed() -> set[str]:
    """The names that /metrics has, histograms' buckets among them."""
    registry = CollectorRegistry()
    Metrics(registry).watch_parts([], [], NoWrites(), NothingDue())
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
    for path in ("templates/prometheusrule.yaml", "files/dashboard.json"):
        text = (CHART / path).read_text(encoding="utf-8")
        for name in sorted(set(NAME.findall(text))):
            yield pytest.param(name, id=f"{path.rsplit('/', 1)[1]}-{name}")


@pytest.mark.parametrize("name", list(used()))
def test_a_metric_in_use_is_one_that_is_there(exposed: set[str], name: str) -> None:
    assert name in exposed | FROM_ELSEWHERE


def test_both_files_use_some() -> None:
    assert len(list(used())) > 15
