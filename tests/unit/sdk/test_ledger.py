"""What the agent's ledger counts, how its windows drain, and that it never raises into its host."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts, sum_counts
from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.metering.record import NO_CONTEXT, UsageRecord
from agentspec_usage.metering.series import MAX_SERIES, SeriesKey, context_class
from agentspec_usage.metering.snapshot import Observer, UsageSnapshot
from agentspec_usage.sdk import UsageLedger
from agentspec_usage.sdk.call_details import series_key
from tests.integration.sdk.heard import Heard

GPT = "openai/gpt-4o"


@pytest.fixture
def ledger() -> UsageLedger:
    return UsageLedger()


@pytest.fixture
def quick_switching() -> Iterator[None]:
    """Threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_an_empty_ledger_says_that_nothing_was_used(ledger: UsageLedger) -> None:
    seen = ledger.snapshot()
    assert (seen.totals, seen.rows, seen.seq) == (TokenCounts(), (), 0)
    assert (seen.instance_id, seen.observer) == (ledger.instance_id, Observer.SDK)


@pytest.mark.parametrize(
    ("model_id", "key"),
    [
        pytest.param(GPT, SeriesKey("openai", "gpt-4o"), id="provider and model"),
        pytest.param("gpt-4o", SeriesKey("", "gpt-4o"), id="bare model"),
        pytest.param(
            "openrouter/anthropic/claude",
            SeriesKey("openrouter", "anthropic/claude"),
            id="the first slash parts them",
        ),
    ],
)
def test_a_model_id_names_a_provider_and_a_model(
    ledger: UsageLedger, model_id: str, key: SeriesKey
) -> None:
    ledger.record(model_id, 10, 5)
    (row,) = ledger.snapshot().rows
    assert (row.key, row.counts) == (key, TokenCounts(input=10, output=5, calls=1))


def test_every_detail_of_a_call_reaches_its_count(ledger: UsageLedger) -> None:
    ledger.record(
        "claude",
        1627,
        97,
        provider="anthropic",
        cache_read_tokens=1000,
        cache_write_5m_tokens=1,
        cache_write_30m_tokens=2,
        cache_write_1h_tokens=3,
        cache_write_12h_tokens=4,
        cache_write_tokens=5,
        reasoning_tokens=40,
        audio_input_tokens=6,
        audio_output_tokens=7,
        image_input_tokens=8,
        image_output_tokens=9,
        operation="generate_content",
        service_tier="priority",
        region="us",
        batch=True,
    )
    (row,) = ledger.snapshot().rows
    assert row.key == SeriesKey("anthropic", "claude", "generate_content", "priority", "us", True)
    assert row.counts == TokenCounts(1627, 97, 1000, 1, 2, 3, 4, 5, 40, 6, 7, 8, 9, 1, 0)


def test_a_call_without_usage_is_a_call(ledger: UsageLedger) -> None:
    ledger.record(GPT, unmetered=True)
    assert ledger.snapshot().totals == TokenCounts(calls=1, unmetered_calls=1)


calls = st.lists(
    st.tuples(
        st.sampled_from([GPT, "gpt-4o", "anthropic/claude", "x"]),
        st.integers(0, 300_000),
        st.integers(0, 40_000),
        st.booleans(),
    ),
    max_size=30,
)


@given(calls, st.integers(0, 30))
def test_the_short_way_counts_as_the_ledger_proper_does(
    made: list[tuple[str, int, int, bool]], read_after: int
) -> None:
    ledger, proper = UsageLedger(), Ledger("0" * 32, 0)
    for position, (model, prompt, completion, detailed) in enumerate(made):
        if position == read_after:
            ledger.snapshot()
        if detailed:
            ledger.record(model, prompt, completion, cache_read_tokens=0)
        else:
            ledger.record(model, prompt, completion)
        plain = series_key(model)
        key = SeriesKey(plain.provider, plain.model, context_class=context_class(prompt))
        proper.record(key, TokenCounts(input=prompt, output=completion, calls=1))
    seen, expected = ledger.snapshot(), proper.snapshot(0)
    assert (seen.totals, seen.seq) == (expected.totals, expected.seq)
    assert {row.key: row.counts for row in seen.rows} == {
        row.key: row.counts for row in expected.rows
    }


@given(calls)
def test_models_are_listed_in_the_order_of_their_first_call(
    made: list[tuple[str, int, int, bool]],
) -> None:
    ledger = UsageLedger()
    for model, _, _, detailed in made:
        if detailed:
            ledger.record(model, 1, 1, reasoning_tokens=1)
        else:
            ledger.record(model, 1, 1)
    listed = [row.key for row in ledger.snapshot().rows]
    assert listed == list(dict.fromkeys(series_key(model) for model, *_ in made))


@pytest.mark.parametrize("sinks", [[], [Heard()]], ids=["alone", "with a sink"])
def test_a_negative_count_is_taken_as_zero_and_flagged(sinks: list[Heard]) -> None:
    ledger = UsageLedger()
    for sink in sinks:
        ledger.attach(sink)
    ledger.record(GPT, -3, 5)
    seen = ledger.snapshot()
    assert seen.totals == TokenCounts(output=5, calls=1)
    assert seen.invalid_calls == 1
    assert all(sink.refused == 1 for sink in sinks)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(1.5, id="fraction"),
        pytest.param(True, id="truth"),
        pytest.param("7", id="text"),
        pytest.param(None, id="none"),
        pytest.param(MAX_COUNT + 1, id="beyond the bound"),
        pytest.param(float("nan"), id="not a number"),
    ],
)
def test_what_is_no_count_makes_the_call_invalid_and_raises_nothing(
    ledger: UsageLedger, value: Any
) -> None:
    ledger.record(GPT, value, 5)
    ledger.record(GPT, 5, 5, cache_read_tokens=value)
    seen = ledger.snapshot()
    assert (seen.totals, seen.invalid_calls, seen.seq) == (TokenCounts(), 2, 0)


@pytest.mark.parametrize("model", [None, 7, ["gpt"], {}])
def test_a_model_that_is_no_name_makes_the_call_invalid_and_raises_nothing(
    ledger: UsageLedger, model: Any
) -> None:
    ledger.record(model, 1, 1)
    assert (ledger.snapshot().totals, ledger.snapshot().invalid_calls) == (TokenCounts(), 1)


def test_ten_thousand_model_names_take_bounded_room_and_lose_no_token(ledger: UsageLedger) -> None:
    for number in range(10_000):
        ledger.record(f"m{number}", 1, 1)
    seen = ledger.snapshot()
    assert len(seen.rows) == MAX_SERIES
    assert seen.totals == TokenCounts(input=10_000, output=10_000, calls=10_000)


def test_a_snapshot_never_changes_after(ledger: UsageLedger) -> None:
    ledger.record(GPT, 5, 5)
    first = ledger.snapshot()
    ledger.record(GPT, 5, 5)
    assert first.totals == TokenCounts(input=5, output=5, calls=1)
    with pytest.raises(AttributeError):
        first.totals.input = 0  # type: ignore[misc]  # the point of the test


def used(snapshot: UsageSnapshot) -> tuple[int, int]:
    return snapshot.totals.total, snapshot.totals.calls


def test_a_reset_shows_the_window_since_the_last_and_takes_nothing_from_others(
    ledger: UsageLedger,
) -> None:
    ledger.record(GPT, 10, 5)
    assert used(ledger.snapshot(reset=True)) == (15, 1)
    assert used(ledger.snapshot(reset=True)) == (0, 0)
    ledger.record(GPT, 1, 1)
    assert used(ledger.snapshot(reset=True)) == (2, 1)
    assert used(ledger.snapshot()) == (17, 2)


def test_draining_takes_exactly_what_was_shipped(ledger: UsageLedger) -> None:
    ledger.record(GPT, 10, 5)
    shipped = ledger.snapshot()
    ledger.record(GPT, 1, 1)
    assert used(ledger.window(shipped)) == (15, 1)
    ledger.drain_up_to(shipped)
    ledger.drain_up_to(shipped)
    assert used(ledger.window(ledger.snapshot())) == (2, 1)


@given(st.lists(st.sampled_from(["record", "drain", "lose", "late"]), max_size=30))
def test_windows_add_up_to_the_totals_whatever_is_lost_or_late(program: list[str]) -> None:
    ledger = UsageLedger()
    delivered: list[TokenCounts] = []
    earlier: list[UsageSnapshot] = []
    for step in program:
        if step == "record":
            ledger.record(GPT, 3, 2)
        elif step == "late" and earlier:
            ledger.drain_up_to(earlier[0])
        else:
            shipped = ledger.snapshot()
            window = ledger.window(shipped)
            if step == "drain":
                delivered.append(window.totals)
                earlier.append(shipped)
                ledger.drain_up_to(shipped)
    now = ledger.snapshot()
    assert sum_counts([*delivered, ledger.window(now).totals]) == now.totals


@pytest.mark.usefixtures("quick_switching")
def test_threads_that_record_and_read_at_once_lose_nothing(ledger: UsageLedger) -> None:
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(ledger.snapshot().totals.calls)

    def work(number: int) -> None:
        for _ in range(300):
            ledger.record(f"m{number % 3}", 3, 1)
            ledger.record(GPT, 3, 1, cache_read_tokens=1)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    reader = threading.Thread(target=read)
    for thread in [reader, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    reader.join()
    now = ledger.snapshot()
    assert now.totals == TokenCounts(input=14_400, output=4800, cache_read=2400, calls=4800)
    assert now.seq == 4800
    assert now.rows_complete
    assert seen == sorted(seen)


def in_child(work: Callable[[], bool]) -> bool:
    """Whether ``work`` holds in a forked child."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.usefixtures("quick_switching")
def test_a_child_forked_while_a_thread_records_begins_anew(ledger: UsageLedger) -> None:
    sink = Heard()
    ledger.attach(sink)
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            ledger.record(GPT, 1, 1)

    def child() -> bool:
        before = ledger.snapshot()
        ledger.record(GPT, 7, 3)
        after = ledger.snapshot()
        return (
            before.totals == TokenCounts()
            and after.totals == TokenCounts(input=7, output=3, calls=1)
            and (before.seq, after.seq) == (0, 1)
            and after.instance_id not in {parent, None}
            and [record.seq for record in sink.records] == [1]
        )

    parent = ledger.instance_id
    thread = threading.Thread(target=work)
    thread.start()
    children = [in_child(child) for _ in range(5)]
    done.set()
    thread.join()
    assert children == [True] * 5
    assert ledger.instance_id == parent
    seen = ledger.snapshot()
    assert seen.seq == seen.totals.calls == len(sink.records)


def test_a_sink_hears_every_call_once_in_order_with_the_time_it_was_made(
    ledger: UsageLedger,
) -> None:
    ledger.record(GPT, 1, 1)
    sink = Heard()
    ledger.attach(sink)
    ledger.record(GPT, 300_000, 1)
    ledger.record(GPT, 2, 2, call_id="c", response_id="r")
    assert [(record.seq, record.key.context_class) for record in sink.records] == [
        (2, 272_000),
        (3, 0),
    ]
    last = sink.records[-1]
    assert (last.call_id, last.response_id) == ("c", "r")
    assert 0 < last.at <= (ledger.snapshot().observed_at or 0)


def test_ids_are_taken_as_text_and_what_is_no_context_is_none(ledger: UsageLedger) -> None:
    sink = Heard()
    ledger.attach(sink)
    ledger.record(GPT, 1, 1, call_id=UUID(int=7), response_id=7, context="team")  # type: ignore[arg-type]  # what hosts do
    (record,) = sink.records
    assert (record.call_id, record.response_id) == (str(UUID(int=7)), "7")
    assert record.context is NO_CONTEXT


class _Broken(Heard):
    def append(self, record: UsageRecord) -> None:
        raise OSError("no space left on device")


def test_a_sink_that_fails_takes_no_count_with_it(ledger: UsageLedger) -> None:
    ledger.attach(_Broken())
    ledger.record(GPT, 1, 1)
    assert ledger.snapshot().totals == TokenCounts(input=1, output=1, calls=1)


def test_a_record_that_the_garbage_collector_makes_within_the_ledger_is_counted(
    ledger: UsageLedger,
) -> None:
    """A dropped stream is closed wherever a collection happens to run: under the very lock, too."""

    class Collects(Heard):
        def append(self, record: UsageRecord) -> None:
            super().append(record)
            gc.collect()

    def stream() -> Iterator[None]:
        try:
            yield
        finally:
            ledger.meter_late(UsageRecord(0, 0, SeriesKey("", "late"), TokenCounts(calls=1)))

    sink = Collects()
    ledger.attach(sink)
    cycle: list[Any] = [stream()]
    next(cycle[0])
    cycle.append(cycle)
    del cycle
    ledger.record(GPT, 1, 1)
    assert ledger.snapshot().totals.calls == 2
    assert [record.seq for record in sink.records] == [1, 2]
