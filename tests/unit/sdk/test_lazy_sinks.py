"""A sink that hears lazily hears the same as one that hears at once, only later."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sdk import UsageLedger, usage_context
from tests.fakes.hand_clock import HandClock
from tests.integration.sdk.heard import Heard

GPT = "openai/gpt-4o"


def record(ledger: UsageLedger, amount: int) -> None:
    ledger.record(GPT, amount, amount // 2)


def details(ledger: UsageLedger, amount: int) -> None:
    ledger.record("gpt", amount, 1, provider="openai", cache_read_tokens=amount, call_id="c")


def unmetered(ledger: UsageLedger, amount: int) -> None:
    ledger.record(GPT, unmetered=True)


def negative(ledger: UsageLedger, amount: int) -> None:
    ledger.record(GPT, -amount, 1)


def refused(ledger: UsageLedger, amount: int) -> None:
    ledger.record(GPT, 1.5, amount)  # type: ignore[arg-type]  # the point of it


def meter(ledger: UsageLedger, amount: int) -> None:
    counts = TokenCounts(input=amount, calls=1)
    ledger.meter(UsageRecord(0, 0, SeriesKey("p", "m"), counts, CallStatus.ABORTED))


def in_context(ledger: UsageLedger, amount: int) -> None:
    with usage_context(team=f"team-{amount % 3}"):
        record(ledger, amount)


def read(ledger: UsageLedger, amount: int) -> None:
    ledger.snapshot()


def settle(ledger: UsageLedger, amount: int) -> None:
    ledger.settle()


STEPS = [record, record, details, unmetered, negative, refused, meter, in_context, read]

programs = st.lists(
    st.tuples(st.sampled_from([*STEPS, settle]), st.integers(0, 300_000)), max_size=40
)


def heard(program: list[tuple[Any, int]], *, lazily: bool) -> tuple[list[UsageRecord], Any]:
    clock = HandClock()
    ledger, sink = UsageLedger(clock=clock), Heard()
    ledger.attach(sink, lazily=lazily)
    for step, amount in program:
        clock.pass_seconds(1.0)
        step(ledger, amount)
    seen = ledger.snapshot()
    ledger.settle()
    return sink.records, replace(seen, instance_id=None)


@given(programs)
def test_both_hear_the_same_calls_with_the_same_times(program: list[tuple[Any, int]]) -> None:
    at_once, lazily = heard(program, lazily=False), heard(program, lazily=True)
    assert lazily == at_once
    assert [one.seq for one in lazily[0]] == list(range(1, len(lazily[0]) + 1))


def test_calls_wait_until_somebody_asks() -> None:
    ledger, sink = UsageLedger(), Heard()
    ledger.attach(sink, lazily=True)
    for _ in range(10):
        ledger.record(GPT, 1, 1)
    # The first is heard at once: it may have to wake the sink.
    assert len(sink.records) == 1
    ledger.settle()
    assert len(sink.records) == 10


def test_a_call_that_comes_late_follows_those_that_wait() -> None:
    ledger, sink = UsageLedger(), Heard()
    ledger.attach(sink, lazily=True)
    for _ in range(3):
        ledger.record(GPT, 1, 1)
    ledger.meter_late(UsageRecord(0, 0, SeriesKey("", "late"), TokenCounts(calls=1)))
    assert ledger.snapshot().seq == 4
    ledger.settle()
    assert [(one.seq, one.key.model) for one in sink.records[-2:]] == [(3, "gpt-4o"), (4, "late")]


def test_a_bounded_number_of_calls_waits() -> None:
    ledger, sink = UsageLedger(), Heard()
    ledger.attach(sink, lazily=True)
    for _ in range(10_000):
        ledger.record(GPT, 1, 1)
    assert len(sink.records) > 9_700


def test_beside_a_sink_that_hears_at_once_none_waits() -> None:
    ledger, lazy, prompt = UsageLedger(), Heard(), Heard()
    ledger.attach(lazy, lazily=True)
    ledger.record(GPT, 1, 1)
    ledger.record(GPT, 1, 1)
    ledger.attach(prompt)
    ledger.record(GPT, 1, 1)
    ledger.record(GPT, 1, 1)
    assert [one.seq for one in prompt.records] == [3, 4]
    assert [one.seq for one in lazy.records] == [1, 2, 3, 4]


@pytest.fixture
def quick_switching() -> Iterator[None]:
    """Threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switching")
def test_threads_that_record_and_settle_at_once_leave_no_gap() -> None:
    ledger, sink = UsageLedger(), Heard()
    ledger.attach(sink, lazily=True)
    done = threading.Event()

    def settles() -> None:
        while not done.is_set():
            ledger.settle()

    def work() -> None:
        for _ in range(300):
            ledger.record(GPT, 3, 1)
            ledger.record(GPT, 3, 1, cache_read_tokens=1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    settler = threading.Thread(target=settles)
    for thread in [settler, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    settler.join()
    ledger.settle()
    assert [one.seq for one in sink.records] == list(range(1, 4801))
    assert ledger.snapshot().totals.calls == 4800


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_what_waits_at_a_fork_is_the_parents_to_tell() -> None:
    ledger, sink = UsageLedger(), Heard()
    ledger.attach(sink, lazily=True)
    for _ in range(5):
        ledger.record(GPT, 1, 1)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            ledger.settle()
            nothing = sink.records == []
            ledger.record(GPT, 7, 3)
            status = 0 if nothing and [one.seq for one in sink.records] == [1] else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    ledger.settle()
    assert [one.seq for one in sink.records] == [1, 2, 3, 4, 5]
