"""A worker's counts in a file that others read: exact, bounded, and of a dead one final."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import MAX_SERIES
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.sdk import UsageLedger
from agentspec_usage.sdk.shared_counts import SIZE, decode_counts
from agentspec_usage.sdk.worker_directory import MAX_INSTANCES
from agentspec_usage.wire.usage import decode_usage
from agentspec_usage.wire.usage_encoding import encode_usage

GPT = "openai/gpt-4o"


def in_child(work: Callable[[], None]) -> None:
    """Do ``work`` in a forked child, which then dies without a word."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def other(ledger: UsageLedger) -> UsageSnapshot:
    """What ``ledger`` lists beside itself."""
    (seen,) = [one for one in ledger.snapshots() if one.instance_id != ledger.instance_id]
    return seen


def test_a_ledger_alone_lists_itself(tmp_path: Path) -> None:
    ledger = UsageLedger(shared_directory=tmp_path)
    ledger.record(GPT, 1, 1)
    assert [one.instance_id for one in ledger.snapshots()] == [ledger.instance_id]


def test_a_process_that_called_no_model_leaves_no_file(tmp_path: Path) -> None:
    ledger = UsageLedger(shared_directory=tmp_path)
    assert len(ledger.snapshots()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_living_worker_is_listed_as_it_is_now(tmp_path: Path) -> None:
    one, two = UsageLedger(shared_directory=tmp_path), UsageLedger(shared_directory=tmp_path)
    for calls in range(1, 4):
        one.record(GPT, 10, 5, reasoning_tokens=1)
        seen = other_than(two, one)
        mine = one.snapshot()
        assert (seen.totals, seen.rows, seen.seq) == (mine.totals, mine.rows, calls)
        assert (seen.instance_id, seen.final) == (one.instance_id, False)
        assert seen.window_started_at == mine.window_started_at


def other_than(reader: UsageLedger, writer: UsageLedger) -> UsageSnapshot:
    return next(s for s in reader.snapshots() if s.instance_id == writer.instance_id)


def test_what_was_counted_before_the_directory_was_given_is_in_the_file(tmp_path: Path) -> None:
    parent = UsageLedger(shared_directory=tmp_path)
    parent.record("a", -1, 2)
    parent.record("b", 3, 4)
    reader = UsageLedger(shared_directory=tmp_path)
    seen = other_than(reader, parent)
    assert (seen.totals, seen.invalid_calls) == (TokenCounts(input=3, output=6, calls=2), 1)


def test_a_dead_workers_entry_stays_and_is_final(tmp_path: Path) -> None:
    ledger = UsageLedger(shared_directory=tmp_path)
    ledger.record(GPT, 1, 1)

    def child() -> None:
        ledger.record(GPT, 10, 5)
        ledger.record("x/y", 1, 1)

    in_child(child)
    seen = other(ledger)
    assert (seen.final, seen.totals) == (True, TokenCounts(input=11, output=6, calls=2))
    assert [row.key.model for row in seen.rows] == ["gpt-4o", "y"]
    assert ledger.snapshot().totals == TokenCounts(input=1, output=1, calls=1)


def test_a_child_does_not_end_its_parents_entry(tmp_path: Path) -> None:
    ledger = UsageLedger(shared_directory=tmp_path)
    reader = UsageLedger(shared_directory=tmp_path)
    ledger.record(GPT, 1, 1)
    in_child(lambda: None)
    in_child(lambda: ledger.record(GPT, 1, 1))
    assert not other_than(reader, ledger).final


def test_many_models_and_long_names_fit_the_file_as_they_fit_the_ledger(tmp_path: Path) -> None:
    ledger = UsageLedger(shared_directory=tmp_path)
    reader = UsageLedger(shared_directory=tmp_path)
    faces = "\U0001f600" * 200
    for number in range(1000):
        ledger.record(f"{'p' * 500}/{faces}{number}\x1f\n", 1, 1, region="r" * 999)
    seen, mine = other_than(reader, ledger), ledger.snapshot()
    assert len(seen.rows) == MAX_SERIES
    assert {row.key: row.counts for row in seen.rows} == {r.key: r.counts for r in mine.rows}
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [SIZE]


def test_past_the_bound_the_dead_that_were_quiet_longest_leave(tmp_path: Path) -> None:
    ledger = UsageLedger(shared_directory=tmp_path)
    ledger.record(GPT, 1, 1)

    def work(calls: int) -> None:
        for _ in range(calls):
            ledger.record(GPT, 1, 0)

    for calls in range(1, MAX_INSTANCES + 3):
        in_child(partial(work, calls))
    listed = ledger.snapshots()
    assert len(listed) == MAX_INSTANCES
    assert ledger.instance_id in {one.instance_id for one in listed}
    assert len(list(tmp_path.iterdir())) == MAX_INSTANCES
    assert len(decode_usage(encode_usage(listed)).snapshots) == MAX_INSTANCES
    # The last ones to have called are among those that stay.
    assert MAX_INSTANCES + 2 in {one.totals.calls for one in listed}


def test_files_that_are_none_of_ours_are_passed_over(tmp_path: Path) -> None:
    ledger = UsageLedger(shared_directory=tmp_path)
    (tmp_path / f"{'0' * 32}.counts").write_bytes(b"{}")
    (tmp_path / f"{'1' * 32}.counts").write_bytes(bytes(SIZE))
    (tmp_path / "notes.txt").write_text("hello")
    assert len(ledger.snapshots()) == 1


@given(st.binary(max_size=200))
def test_bytes_that_are_none_of_ours_decode_to_nothing(body: bytes) -> None:
    assert decode_counts("0" * 32, body) is None


def test_a_directory_that_is_a_file_leaves_the_worker_alone(tmp_path: Path) -> None:
    (tmp_path / "workers").write_text("")
    ledger = UsageLedger(shared_directory=tmp_path / "workers")
    ledger.record(GPT, 1, 1)
    ledger.record(GPT, 1, 1)
    assert [one.totals.calls for one in ledger.snapshots()] == [2]


def test_a_reader_never_sees_half_a_call(tmp_path: Path) -> None:
    ledger = UsageLedger(shared_directory=tmp_path)
    reader = UsageLedger(shared_directory=tmp_path)
    ledger.record(GPT, 3, 1)
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            ledger.record(GPT, 3, 1)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        seen = [other_than(reader, ledger) for _ in range(200)]
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(before)
    for one in seen:
        calls = one.totals.calls
        assert one.totals == TokenCounts(input=3 * calls, output=calls, calls=calls)
        assert (one.seq, one.rows_complete) == (calls, True)
    assert [one.totals.calls for one in seen] == sorted(one.totals.calls for one in seen)
