"""What the sidecar adds to a model call: time, CPU and memory, beside a direct call and litellm.

All of it in one run on one upstream, in rounds that take turns, so that what else the machine does
falls on all alike. CPU is that of the proxy's process alone, as the kernel counts it: requests for
each core are requests for each second of it. Clients and upstream share the machine, so the times
with 16 clients say more about the order than about the numbers.

``python -m bench.sidecar_bench`` writes build/bench/sidecar.json; ``--quick`` measures less.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import llm_load
from bench.child import ROOT, Child
from bench.llm_load import Timing
from bench.llm_proxies import LITELLM, Program, litellm_proxy, sidecar
from bench.measuring import Usage, rss_mb

OUTPUT = ROOT / "build" / "bench" / "sidecar.json"

_STREAM_EVENTS = 50
_LONG_STREAM_EVENTS = 5_000
_ROUNDS = 4
_CORE_CLIENTS = 16


@dataclass(frozen=True, slots=True)
class Case:
    """``requests`` are those of a round; slower programs get a tenth of them."""

    name: str
    events: int
    clients: int
    requests: int


@dataclass(frozen=True, slots=True)
class Row:
    """One program in one case. Times in ms; ``added`` is to the direct call of the same run."""

    case: str
    clients: int
    program: str
    first_p50_ms: float
    first_p99_ms: float
    total_p50_ms: float
    total_p99_ms: float
    added_p50_ms: float | None
    added_p99_ms: float | None
    requests_per_core: float | None
    mb_per_s: float
    rss_mb: float | None


def cases(quick: bool) -> list[Case]:
    requests = 200 if quick else 1000
    return [
        Case("json", 0, 1, requests),
        Case("json", 0, _CORE_CLIENTS, requests * 2),
        Case("stream", _STREAM_EVENTS, 1, requests // 2),
        Case("stream", _STREAM_EVENTS, _CORE_CLIENTS, requests),
        Case("long stream", _LONG_STREAM_EVENTS // (5 if quick else 1), 1, 20),
    ]


def measure(case: Case, programs: Sequence[Program]) -> list[Row]:
    timings: dict[str, list[Timing]] = {program.name: [] for program in programs}
    cpu: dict[str, float] = {program.name: 0.0 for program in programs}
    for _ in range(_ROUNDS):
        for program in programs:
            requests = case.requests // (10 if program.name == "litellm" else 1)
            request = (
                llm_load.stream(program.key, case.events)
                if case.events
                else llm_load.chat(program.key)
            )
            before = Usage.of(program.pid) if program.pid else None
            timings[program.name] += asyncio.run(
                llm_load.run(program.port, request, requests, case.clients)
            )
            if before is not None and program.pid is not None:
                cpu[program.name] += Usage.of(program.pid).cpu - before.cpu
    direct = timings[programs[0].name]
    return [row(case, p, timings[p.name], cpu[p.name], direct) for p in programs]


def row(
    case: Case, program: Program, timings: list[Timing], cpu: float, direct: list[Timing]
) -> Row:
    first = sorted(timing.first * 1e3 for timing in timings)
    total = sorted(timing.total * 1e3 for timing in timings)
    without = sorted(timing.total * 1e3 for timing in direct)
    is_proxy = program.pid is not None
    return Row(
        case=case.name,
        clients=case.clients,
        program=program.name,
        first_p50_ms=quantile(first, 0.5),
        first_p99_ms=quantile(first, 0.99),
        total_p50_ms=quantile(total, 0.5),
        total_p99_ms=quantile(total, 0.99),
        added_p50_ms=quantile(total, 0.5) - quantile(without, 0.5) if is_proxy else None,
        added_p99_ms=quantile(total, 0.99) - quantile(without, 0.99) if is_proxy else None,
        requests_per_core=len(timings) / cpu if cpu else None,
        mb_per_s=sum(t.size for t in timings) / sum(t.total for t in timings) / 1e6,
        rss_mb=rss_mb(program.pid) if program.pid else None,
    )


def quantile(values: Sequence[float], q: float) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, int(len(values) * q))]


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Of litellm's numbers to the sidecar's: how many times as much, or as fast, it is."""
    found = {(row.case, row.clients, row.program): row for row in rows}
    ratio: dict[str, float] = {}
    for (case, clients, program), ours in found.items():
        theirs = found.get((case, clients, "litellm"))
        if program != "sidecar" or theirs is None:
            continue
        name = f"{case}, {clients} at once"
        if ours.requests_per_core and theirs.requests_per_core:
            ratio[f"{name}: requests per core"] = ours.requests_per_core / theirs.requests_per_core
        if ours.added_p50_ms and theirs.added_p50_ms:
            ratio[f"{name}: added p50"] = theirs.added_p50_ms / ours.added_p50_ms
        if ours.rss_mb and theirs.rss_mb:
            ratio[f"{name}: memory"] = theirs.rss_mb / ours.rss_mb
    return ratio


HEADING = (
    f"{'case':12} {'at once':>7} {'program':8} {'first p50':>9} {'p99':>8} {'total p50':>9} "
    f"{'p99':>8} {'added p50':>9} {'p99':>8} {'req/core s':>10} {'MB/s':>7} {'RSS MB':>7}"
)


def line(row: Row) -> str:
    return (
        f"{row.case:12} {row.clients:7} {row.program:8} {row.first_p50_ms:9.3f} "
        f"{row.first_p99_ms:8.3f} {row.total_p50_ms:9.3f} {row.total_p99_ms:8.3f} "
        f"{number(row.added_p50_ms, 9, 3)} {number(row.added_p99_ms, 8, 3)} "
        f"{number(row.requests_per_core, 10, 0)} {row.mb_per_s:7.1f} {number(row.rss_mb, 7, 0)}"
    )


def number(value: float | None, width: int, digits: int) -> str:
    return "-".rjust(width) if value is None else f"{value:.{digits}f}".rjust(width)


def main() -> None:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="a fifth of the requests")
    quick = arguments.parse_args().quick
    rows: list[Row] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(Child("bench.llm_upstream", {}))
        port = int(upstream.ask("port")["port"])
        programs = [Program("direct", port), stack.enter_context(sidecar(port, directory))]
        if LITELLM.exists():
            programs.append(stack.enter_context(litellm_proxy(port, directory)))
        else:
            print(f"without litellm: {LITELLM.relative_to(ROOT)} is missing (make compare)")
        for program in programs:
            asyncio.run(llm_load.run(program.port, llm_load.chat(program.key), 100, 4))
        print(HEADING, flush=True)
        for case in cases(quick):
            measured = measure(case, programs)
            rows += measured
            print("\n".join(map(line, measured)), flush=True)
    ratio = ratios(rows)
    for name, value in ratio.items():
        print(f"litellm to sidecar, {name}: {value:.1f}")
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "python": sys.version,
        "machine": platform.machine(),
        "rows": [asdict(row) for row in rows],
        "ratios": ratio,
    }
    OUTPUT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
