"""The operator with 100 to 10,000 agents: ``python -m bench.operator_bench`` (make bench-operator).

For each fleet size a fresh API server, a pod and an AgentObservation for each agent, one process
that plays all agents, and the operator as a real process. Measured, in this order:

1. from the operator's start until every object shows usage;
2. a window in which no agent does anything (``idle``): nothing may be written;
3. a window in which every second agent makes a call every five seconds (``half``);
4. the operator stopped, the floor under both loads: the same GETs, as many patches;
5. the obvious operator (``naive``), for small fleets.

After the idle window each object's tokens are compared with what its agent says: a fast operator
that shows wrong numbers would fail here. ``docs/benchmarks.md`` says how to read the result.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from agentspec_usage.devcluster import Binaries, Cluster, Options, Places, Progress, up
from bench.child import ROOT, Child
from bench.estate import INTERVAL, Agent, api_of, create
from bench.measuring import Usage, cores, quantile, rss_mb
from bench.operator_process import OperatorProcess
from bench.rows import HEADINGS, Measured, Row, line, markdown, write_json

SIZES = (100, 1_000, 5_000, 10_000)
_NAIVE_UP_TO = 2_000
_OUTPUT = ROOT / "build" / "bench"
_FIRST_STATUS_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Plan:
    """``window``: seconds of the operator's windows; ``beside``: of the floor's and the naive
    operator's. ``profile`` samples the operator under load and leaves out the comparisons."""

    window: float
    beside: float
    profile: bool


def main() -> None:
    """Measure every size, print as it goes, write the JSON after each."""
    options = _options()
    plan = Plan(options.window, min(options.window, 45.0), options.profile)
    _OUTPUT.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    print(HEADINGS, flush=True)
    for size in options.sizes:
        rows += measure_size(size, plan)
        if not plan.profile:
            write_json(options.json, rows)
    if rows:
        print(f"\n{markdown(rows)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measure the operator on a real API server")
    parser.add_argument("--sizes", type=_sizes, default=SIZES, help="agents: 100,1000")
    parser.add_argument("--window", type=float, default=90.0, help="seconds measured, each load")
    parser.add_argument("--quick", action="store_true", help="100 agents, 30-second windows")
    parser.add_argument("--profile", action="store_true", help="sample where the CPU goes")
    parser.add_argument("--json", type=Path, default=_OUTPUT / "operator.json", help="output")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.window = (100,), 30.0
    return options


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def measure_size(size: int, plan: Plan) -> list[Row]:
    """The rows of one fleet size: idle and half busy."""
    with _cluster() as cluster, Child("bench.fleet", {"count": size}) as fleet:
        started = time.monotonic()
        create(cluster, size)
        _note(f"{size} agents created in {time.monotonic() - started:.0f} s")
        log = _OUTPUT / f"operator-{size}.log"
        log.unlink(missing_ok=True)
        profile = _OUTPUT / f"profile-{size}.txt" if plan.profile else None
        server = cluster.state.processes["kube-apiserver"].pid
        with OperatorProcess(cluster, log, profile) as operator:
            shown_after = _wait_until_all_shown(operator, size)
            _settle(operator, quiet=True)
            idle = _operator_window(operator, server, size, "idle", plan.window, shown_after)
            print(line("operator", idle), flush=True)
            _compare_numbers(cluster, fleet, size)
            fleet.ask("busy")
            _settle(operator, quiet=False)
            if profile:
                operator.start_profile()
            half = _operator_window(operator, server, size, "half", plan.window, shown_after)
            print(line("operator", half), flush=True)
        if plan.profile:
            return []
        rows = []
        for measured in (idle, half):
            fleet.ask("busy" if measured.load == "half" else "idle")
            floor = _floor_window(cluster, server, measured, plan.beside)
            print(line("floor", floor), flush=True)
            rows.append(Row(measured, floor, None))
        if size <= _NAIVE_UP_TO:
            naive = _naive_window(cluster, server, size, plan.beside)
            print(line("naive", naive), flush=True)
            # It patches at each tick whatever the agents do: one measurement serves both loads.
            rows = [
                Row(row.operator, row.floor, replace(naive, load=row.operator.load)) for row in rows
            ]
        return rows


@contextmanager
def _cluster() -> Iterator[Cluster]:
    """A fresh API server with the CRD and what the chart installs; it ends with this process."""
    binaries = Binaries(Places.from_environment(os.environ), os.environ, Progress(None))
    directory = Path(tempfile.mkdtemp(prefix="agentspec-bench-"))
    cluster = up(directory, binaries, name="bench", options=Options(durable=False, tied=True))
    try:
        cluster.kubectl("apply", "-f", str(ROOT / "crds" / "agentobservations.yaml"))
        cluster.kubectl(
            *("wait", "--for=condition=Established", "--timeout=30s"),
            "crd/agentobservations.agentspec.io",
        )
        cluster.kubectl("apply", "-f", str(ROOT / "charts" / "install.yaml"))
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(directory, ignore_errors=True)


def _wait_until_all_shown(operator: OperatorProcess, size: int) -> float:
    """Seconds from the operator's start until it has written every object's status."""
    deadline = operator.started + _FIRST_STATUS_SECONDS
    while time.monotonic() < deadline:
        sample = operator.sample()
        if sample.written >= size and not sample.pending:
            return time.monotonic() - operator.started
        time.sleep(0.25)
    raise RuntimeError(f"after {_FIRST_STATUS_SECONDS:.0f} s not every object has a status")


def _settle(operator: OperatorProcess, *, quiet: bool) -> None:
    """A whole interval under the present load; if ``quiet``, until nothing waits to be written."""
    time.sleep(INTERVAL + 5)
    while quiet and operator.sample().pending:
        time.sleep(1)


def _operator_window(
    operator: OperatorProcess,
    server: int,
    size: int,
    load: str,
    seconds: float,
    shown_after: float,
) -> Measured:
    server_before, before = Usage.of(server), operator.sample()
    time.sleep(seconds)
    after, server_after = operator.sample(), Usage.of(server)
    elapsed = after.usage.at - before.usage.at
    scrapes = after.scrapes - before.scrapes
    return Measured(
        n=size,
        load=load,
        scrapes_per_s=scrapes / elapsed,
        wanted_per_s=size / INTERVAL,
        lateness_p50_s=quantile(before.lateness, after.lateness, 0.50),
        lateness_p99_s=quantile(before.lateness, after.lateness, 0.99),
        cpu_cores=cores(before.usage, after.usage),
        cpu_ms_per_scrape=_per_scrape(before.usage, after.usage, scrapes),
        rss_mb=rss_mb(operator.pid),
        status_writes_per_s=(after.written - before.written) / elapsed,
        suppressed_per_s=(after.suppressed - before.suppressed) / elapsed,
        apiserver_cores=cores(server_before, server_after),
        first_status_all_s=shown_after,
    )


def _floor_window(cluster: Cluster, server: int, operator: Measured, seconds: float) -> Measured:
    """The operator's GETs and patches of the same load, without an operator."""
    config = {
        "count": operator.n,
        "patches_per_s": operator.status_writes_per_s,
        "api": asdict(api_of(cluster)),
    }
    with Child("bench.floor", config) as child:
        return _child_window(child, server, operator.n, operator.load, seconds, lambda: None)


def _naive_window(cluster: Cluster, server: int, size: int, seconds: float) -> Measured:
    config = {"api": asdict(api_of(cluster))}
    started = time.monotonic()
    with Child("bench.naive_operator", config, cluster.environment) as child:
        shown: list[float] = []

        def wait_until_all_shown() -> None:
            while time.monotonic() < started + _FIRST_STATUS_SECONDS:
                if child.ask("report")["seen"] == size:
                    shown.append(time.monotonic() - started)
                    return
                time.sleep(1)

        measured = _child_window(child, server, size, "half", seconds, wait_until_all_shown)
        return replace(measured, first_status_all_s=shown[0] if shown else None)


def _child_window(
    child: Child, server: int, size: int, load: str, seconds: float, ready: Callable[[], None]
) -> Measured:
    ready()
    time.sleep(10)
    server_before, before = Usage.of(server), Usage.of(child.pid)
    child.ask("begin")
    time.sleep(seconds)
    counts = child.ask("report")
    after, server_after = Usage.of(child.pid), Usage.of(server)
    if counts["failures"]:
        _note(f"{counts['failures']} requests failed")
    elapsed = after.at - before.at
    return Measured(
        n=size,
        load=load,
        scrapes_per_s=counts["scrapes"] / elapsed,
        wanted_per_s=size / INTERVAL,
        lateness_p50_s=counts.get("p50"),
        lateness_p99_s=counts.get("p99"),
        cpu_cores=cores(before, after),
        cpu_ms_per_scrape=_per_scrape(before, after, counts["scrapes"]),
        rss_mb=rss_mb(child.pid),
        status_writes_per_s=counts["patches"] / elapsed,
        suppressed_per_s=None,
        apiserver_cores=cores(server_before, server_after),
        first_status_all_s=None,
    )


def _per_scrape(before: Usage, after: Usage, scrapes: float) -> float | None:
    return (after.cpu - before.cpu) / scrapes * 1000 if scrapes else None


def _compare_numbers(cluster: Cluster, fleet: Child, size: int) -> None:
    """Every object shows exactly what its agent says."""
    steps = int(fleet.ask("report")["steps"])
    shown = {}
    with cluster.client() as client:
        path, continued = "/apis/agentspec.io/v1/agentobservations", ""
        while True:
            page = client.get(path, params={"limit": "500", "continue": continued}).json()
            for item in page["items"]:
                usage = item.get("status", {}).get("usage", {})
                shown[item["metadata"]["name"]] = usage.get("totalTokens")
            continued = page["metadata"].get("continue", "")
            if not continued:
                break
    wrong = [
        agent.name
        for agent in map(Agent, range(size))
        if shown.get(agent.name) != agent.tokens(steps)
    ]
    if wrong:
        raise RuntimeError(
            f"{len(wrong)} of {size} objects do not show their agent's tokens: {wrong[:5]}"
        )


def _note(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    main()
