"""What one ``record`` costs an agent, beside the least that a shared count can cost.

The floor is a bare addition to a dict under a lock. Both are measured single-threaded and with 16
threads that do nothing else, which no agent does: it shows that the lock does not collapse. Each
number is the best of several runs, because what else the machine does only ever adds.

``python bench/sdk_bench.py`` writes build/bench/sdk.json.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from agentspec_usage.sdk import Reporter, UsageLedger

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "bench" / "sdk.json"

CALLS = 200_000
LONG_WAY = 20_000
KEPT = 9_000
"""Fewer than an outbox keeps one by one."""
WAITING = 240
"""Fewer than wait before the caller itself makes records of them, instead of who sends them."""
RUNS = 5
THREADS = 16
GPT = "openai/gpt-4o"

Work = Callable[[int], None]


def bare_addition() -> Work:
    """The floor."""
    lock, counts = threading.Lock(), {GPT: 0}

    def work(calls: int) -> None:
        for _ in range(calls):
            with lock:
                counts[GPT] += 100

    return work


def record() -> Work:
    """A ledger's usual call."""
    ledger = UsageLedger()

    def work(calls: int) -> None:
        for _ in range(calls):
            ledger.record(GPT, 100, 20)

    return work


def record_with_details() -> Work:
    """A call that says more than its two counts."""
    ledger = UsageLedger()

    def work(calls: int) -> None:
        for _ in range(calls):
            ledger.record(GPT, 100, 20, cache_read_tokens=64)

    return work


def record_for_delivery() -> Work:
    """A call of which a record waits to be delivered."""
    reporter = Reporter()
    reporter.ledger.record(GPT, 100, 20)

    def work(calls: int) -> None:
        for _ in range(calls):
            reporter.ledger.record(GPT, 100, 20)

    return work


def record_shared(directory: Path) -> Work:
    """A call that other workers can read at once."""
    ledger = UsageLedger(shared_directory=directory)

    def work(calls: int) -> None:
        for _ in range(calls):
            ledger.record(GPT, 100, 20)

    return work


def nanoseconds(make: Callable[[], Work], calls: int, threads: int) -> float:
    """Of one call: the best of ``RUNS``, each with ``calls`` calls in all."""
    best = float("inf")
    for _ in range(RUNS):
        work = make()
        if threads == 1:
            began = time.perf_counter_ns()
            work(calls)
            best = min(best, (time.perf_counter_ns() - began) / calls)
            continue
        crew = [threading.Thread(target=work, args=(calls // threads,)) for _ in range(threads)]
        began = time.perf_counter_ns()
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        best = min(best, (time.perf_counter_ns() - began) / calls)
    return round(best, 1)


def main() -> None:
    """Measure, print, write."""
    with tempfile.TemporaryDirectory() as directory:
        cases: list[tuple[str, Callable[[], Work], int]] = [
            ("bare locked addition", bare_addition, CALLS),
            ("record", record, CALLS),
            ("record with details", record_with_details, LONG_WAY),
            ("record for delivery", record_for_delivery, WAITING),
            ("  and its record is made", record_for_delivery, KEPT),
            ("  and nobody takes any", record_for_delivery, LONG_WAY),
            ("record in a shared directory", lambda: record_shared(Path(directory)), LONG_WAY),
        ]
        rows = [
            {
                "case": name,
                "ns_1_thread": nanoseconds(make, calls, 1),
                # So few calls would measure how threads are started.
                "ns_16_threads": nanoseconds(make, calls, THREADS) if calls > WAITING else None,
            }
            for name, make, calls in cases
        ]
    for row in rows:
        many = "-" if row["ns_16_threads"] is None else f"{row['ns_16_threads']} ns on 16"
        print(f"{row['case']:30} {row['ns_1_thread']:>9} ns {many:>18}")
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    report = {"python": sys.version, "machine": platform.machine(), "rows": rows}
    OUTPUT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
