"""A ledger under threads that switch at every chance, and under forks in the middle of a call."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.metering.outbox import Outbox
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, UsageSnapshot
from agentspec_usage.wire.records_encoding import encode_frame
from tests.unit.metering.readings import A, numbered_id, tokens
from tests.unit.metering.records import record

KEYS = [SeriesKey("openai", model) for model in ("gpt", "o3", "opus")]


@pytest.fixture(autouse=True)
def _threads_switch_at_every_chance() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_every_snapshot_is_whole_while_threads_record() -> None:
    ledger, calls, workers = Ledger(A, 0), 300, 4
    done = threading.Event()
    seen: list[UsageSnapshot] = []

    def work() -> None:
        for number in range(calls):
            ledger.record(KEYS[number % 3], TokenCounts(input=number, output=1, calls=1))

    def read() -> None:
        while not done.is_set():
            seen.append(ledger.snapshot(1))

    threads = [threading.Thread(target=work) for _ in range(workers)]
    reader = threading.Thread(target=read)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    reader.join()
    seen.append(ledger.snapshot(1))
    assert seen[-1].totals == TokenCounts(
        input=workers * sum(range(calls)), output=workers * calls, calls=workers * calls
    )
    for earlier, later in pairwise(seen):
        assert later.totals.covers(earlier.totals)
    for snapshot in seen:
        assert snapshot.totals == sum_counts(row.counts for row in snapshot.rows)
        assert snapshot.seq == snapshot.totals.calls


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_forked_while_another_thread_records_counts_from_nothing() -> None:
    """The lock may be held at the fork: in the child nobody would ever release it."""
    ledger = Ledger(A, 0)
    outbox = Outbox(A, Observer.SDK, encode_frame)
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            ledger.record(KEYS[0], tokens(1))
            outbox.append(record(outbox.last + 1))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        codes = [_in_a_child(ledger, outbox, number) for number in range(20)]
    finally:
        done.set()
        worker.join()
    assert codes == [0] * 20
    assert ledger.snapshot(1).instance_id == A
    assert outbox.last == ledger.snapshot(1).totals.calls


def _in_a_child(ledger: Ledger, outbox: Outbox, number: int) -> int:
    """0 when the child counts its own calls and nobody else's."""
    pid = os.fork()
    if pid == 0:
        child = numbered_id(number)
        ledger.reset_after_fork(child, 1)
        outbox.reset_after_fork(child)
        ledger.record(KEYS[1], tokens(7))
        outbox.append(record(1, 7))
        seen, sealed = ledger.snapshot(2), outbox.to_send()
        right = (seen.instance_id, seen.totals) == (child, tokens(7))
        right = right and sealed is not None and sealed.frame.totals == tokens(7)
        os._exit(0 if right else 1)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
