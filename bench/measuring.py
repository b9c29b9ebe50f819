"""What is measured: CPU and memory as the kernel counts them, and the operator's own /metrics.

A window is two samples and their difference. Quantiles of a histogram are interpolated within a
bucket, as Prometheus does it, so a p50 below the first bound says only "below it".
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["OperatorSample", "Usage", "cores", "metrics_of", "quantile", "rss_mb"]

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of a process, user and system, at a moment."""

    at: float
    cpu: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return cls(time.monotonic(), (int(fields[11]) + int(fields[12])) / _TICKS)


def cores(before: Usage, after: Usage) -> float:
    """CPU seconds a second."""
    return (after.cpu - before.cpu) / (after.at - before.at)


def rss_mb(pid: int) -> float:
    """Resident memory in MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} has no memory: it has ended")


def metrics_of(port: int) -> dict[str, float]:
    """The samples of the operator's /metrics, ``name{label}`` by the first label's value."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10, trust_env=False).text
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@dataclass(frozen=True, slots=True)
class OperatorSample:
    """The operator's counters at a moment; ``lateness`` by the upper bound of each bucket."""

    usage: Usage
    scrapes: float
    written: float
    suppressed: float
    pending: float
    lateness: Mapping[float, float]

    @classmethod
    def of(cls, pid: int, port: int) -> OperatorSample:
        values = metrics_of(port)
        bucket = "agentspec_scrape_lateness_seconds_bucket{"
        return cls(
            usage=Usage.of(pid),
            scrapes=values.get("agentspec_scrapes_total{ok}", 0.0),
            written=values.get("agentspec_status_writes_total{written}", 0.0),
            suppressed=values.get("agentspec_status_writes_suppressed_total{}", 0.0),
            pending=values.get("agentspec_status_writes_pending{}", 0.0),
            lateness={
                float(name.removeprefix(bucket).rstrip("}")): value
                for name, value in values.items()
                if name.startswith(bucket)
            },
        )


def quantile(before: Mapping[float, float], after: Mapping[float, float], q: float) -> float | None:
    """The ``q`` quantile of what a cumulative histogram counted in between; None for nothing."""
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    total = max(counts.values(), default=0.0)
    if not total:
        return None
    wanted, lower, below = q * total, 0.0, 0.0
    for bound, count in counts.items():
        if count >= wanted:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return lower
