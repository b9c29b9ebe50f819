"""Sums and pages agree with what was stored, whatever is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts, sum_counts
from agentspec_usage.metering.frame import BUCKET_MS
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.store.opening import open_store
from agentspec_usage.store.queries import AgentName, Position, StoredCall, UsageFilter
from agentspec_usage.store.sql.store import SqlStore
from tests.unit.store.values import NOW, apply, frame, register, rows

START = NOW - 5 * DAY_MS
ALWAYS = Span(0, NOW + DAY_MS)
AGENTS = (AgentName("red", "a"), AgentName("red", "b"), AgentName("blue", "a"))
MODELS = ("gpt", "opus")
USERS = ("", "ann")


@dataclass(frozen=True)
class Call:
    """What a test stores."""

    agent: AgentName
    record: UsageRecord


@st.composite
def stored_calls(draw: st.DrawFn) -> list[Call]:
    found: list[Call] = []
    for _ in range(draw(st.integers(0, 40))):
        # Few times, so that many calls share one, and some lie on an edge.
        at = START + draw(st.integers(0, 20)) * BUCKET_MS * draw(st.sampled_from([1, 13]))
        tokens = draw(st.integers(1, 99))
        record = UsageRecord(
            0,
            at + draw(st.sampled_from([0, 0, 1, 450_000])),
            SeriesKey("openai", draw(st.sampled_from(MODELS))),
            TokenCounts(input=tokens, output=1, calls=1),
            context=CallContext(user=draw(st.sampled_from(USERS))),
        )
        found.append(Call(draw(st.sampled_from(AGENTS)), record))
    return found


times = st.integers(-2, 24 * 12).map(lambda step: START + step * BUCKET_MS // 2)
spans = st.tuples(times, times).map(lambda pair: Span(min(pair), max(pair)))
filters = st.builds(
    UsageFilter,
    spans,
    namespace=st.sampled_from(["", "red", "blue", "green"]),
    model=st.sampled_from(["", *MODELS]),
    user=st.sampled_from(USERS),
)


def chosen(calls: list[Call], asked: UsageFilter) -> Iterator[Call]:
    for call in calls:
        record = call.record
        if (
            asked.span.start <= record.at < asked.span.end
            and asked.namespace in ("", call.agent.namespace)
            and asked.model in ("", record.key.model)
            and asked.user in ("", record.context.user)
        ):
            yield call


@contextmanager
def opened(new_database: Callable[[], str]) -> Iterator[SqlStore]:
    store = open_store(new_database())
    try:
        yield store
    finally:
        store.close()


async def put(store: SqlStore, calls: list[Call]) -> None:
    """Each agent's calls as one frame of one instance."""
    for number, name in enumerate(AGENTS, 1):
        agent = await register(store, name.name, name.namespace)
        records = [call.record for call in calls if call.agent == name]
        if not records:
            continue
        items = [_numbered(record, seq) for seq, record in enumerate(records, 1)]
        instance = f"{number:032x}"
        applied = await apply(
            store, agent, frame(0, len(items), *items, instance_id=instance), now=NOW
        )
        assert applied.answers.durable == {instance: len(items)}


def _numbered(record: UsageRecord, seq: int) -> UsageRecord:
    return UsageRecord(seq, record.at, record.key, record.counts, context=record.context)


def tally(calls: list[Call], of: Callable[[Call], object]) -> dict[object, tuple[TokenCounts, int]]:
    groups: dict[object, list[TokenCounts]] = {}
    for call in calls:
        groups.setdefault(of(call), []).append(call.record.counts)
    return {key: (sum_counts(counts), len(counts)) for key, counts in groups.items()}


@settings(max_examples=30)
@given(calls=stored_calls(), asked=st.lists(filters, min_size=3, max_size=6))
def test_sums_are_those_of_the_calls_that_were_asked_for(
    new_database: Callable[[], str], calls: list[Call], asked: list[UsageFilter]
) -> None:
    async def check() -> None:
        with opened(new_database) as store:
            await put(store, calls)
            for one in asked:
                without_user = UsageFilter(one.span, one.namespace, one.agent_id, one.model)
                true = list(chosen(calls, without_user))
                found = await store.sums(without_user)
                assert {
                    agent: (part.counts, part.items) for agent, part in found.by_agent.items()
                } == tally(true, lambda call: call.agent)
                assert {
                    model: (part.counts, part.items) for model, part in found.by_model.items()
                } == tally(true, lambda call: call.record.key.model)
                assert found.total.items == len(true)
                assert found.total.counts == sum_counts(call.record.counts for call in true)

    asyncio.run(check())


@settings(max_examples=30)
@given(
    calls=stored_calls(),
    asked=filters,
    zone=st.sampled_from(["UTC", "Asia/Kathmandu", "America/New_York"]),
)
def test_days_are_those_of_the_zone_and_sum_up_to_the_period(
    new_database: Callable[[], str], calls: list[Call], asked: UsageFilter, zone: str
) -> None:
    async def check() -> None:
        with opened(new_database) as store:
            await put(store, calls)
            period = UsageFilter(asked.span, asked.namespace, asked.agent_id, asked.model)
            true = list(chosen(calls, period))
            found = await store.days(period, ZoneInfo(zone))
            assert [day.day.day for day in found] == sorted({day.day.day for day in found})
            for day in found:
                inside = [
                    call for call in true if day.day.span.start <= call.record.at < day.day.span.end
                ]
                assert day.sum.items == len(inside)
                assert day.sum.counts == sum_counts(call.record.counts for call in inside)
            assert sum(day.sum.items for day in found) == len(true)

    asyncio.run(check())


@settings(max_examples=30)
@given(calls=stored_calls(), asked=filters, limit=st.integers(1, 7))
def test_pages_show_every_call_once_newest_first_and_the_total_knows_the_filters(
    new_database: Callable[[], str], calls: list[Call], asked: UsageFilter, limit: int
) -> None:
    async def check() -> None:
        with opened(new_database) as store:
            await put(store, calls)
            true = sorted(
                (call.record.at, call.record.counts.input) for call in chosen(calls, asked)
            )
            by_offset: list[StoredCall] = []
            by_position: list[StoredCall] = []
            after: Position | None = None
            while True:
                page = await store.calls(asked, limit, len(by_offset))
                following = await store.calls(asked, limit, after=after)
                assert page.total == following.total == len(true)
                by_offset += page.calls
                by_position += following.calls
                if not following.calls:
                    break
                after = following.calls[-1].position
            assert by_offset == by_position
            positions = [call.position for call in by_offset]
            assert positions == sorted(set(positions), reverse=True)
            assert sorted((call.position.at, call.counts.input) for call in by_offset) == true

    asyncio.run(check())


async def test_a_page_is_not_moved_by_what_is_stored_meanwhile(store: SqlStore) -> None:
    agent = await register(store)
    await apply(store, agent, frame(0, 6))
    first = await store.calls(UsageFilter(ALWAYS), 3)
    await apply(store, agent, frame(6, 9))
    second = await store.calls(UsageFilter(ALWAYS), 3, after=first.calls[-1].position)
    assert [call.counts.output for call in (*first.calls, *second.calls)] == [6, 5, 4, 3, 2, 1]
    assert second.total == 9


async def test_a_call_knows_on_whose_behalf_it_was_made(store: SqlStore) -> None:
    agent = await register(store)
    record = UsageRecord(
        1,
        NOW,
        SeriesKey("openai", "gpt", service_tier="flex", region="us"),
        TokenCounts(input=3, calls=1),
        request_model="gpt-latest",
        call_id="call-1",
        response_id="resp-1",
        duration_ms=12,
        context=CallContext(user="ann", session="s", run="r", team="t"),
    )
    await apply(store, agent, frame(0, 1, record))
    (call,) = (await store.calls(UsageFilter(ALWAYS), 1)).calls
    assert call.agent == AgentName("team", "agent")
    assert (call.model, call.request_model, call.duration_ms) == ("gpt", "gpt-latest", 12)
    assert (call.user, call.session, call.run, call.team) == ("ann", "s", "r", "t")
    assert (call.service_tier, call.region, call.status) == ("flex", "us", "ok")
    assert (call.call_id, call.response_id) == ("call-1", "resp-1")


async def test_sums_beyond_what_an_integer_holds_stop_counting_and_do_not_fail(
    store: SqlStore,
) -> None:
    agent = await register(store)
    largest = TokenCounts(input=MAX_COUNT, calls=1)
    for number in range(1100):
        record = UsageRecord(1, NOW - number * BUCKET_MS, SeriesKey("openai", "gpt"), largest)
        await apply(store, agent, frame(0, 1, record, instance_id=f"{number:032x}", totals=largest))
    found = await store.sums(UsageFilter(ALWAYS))
    assert found.total.counts.input == MAX_COUNT
    assert found.total.counts.calls == 1100
    days = await store.days(UsageFilter(ALWAYS), ZoneInfo("Asia/Kathmandu"))
    assert sum(day.sum.counts.calls for day in days) == 1100


async def test_what_was_lost_is_in_the_sums_under_no_model(store: SqlStore) -> None:
    agent = await register(store)
    totals = TokenCounts(input=50, output=5, calls=2)
    await apply(store, agent, frame(0, 2, lost=True, items=(), totals=totals))
    found = await store.sums(UsageFilter(ALWAYS))
    assert found.total.counts == totals
    assert list(found.by_model) == ["__unattributed__"]


@pytest.mark.parametrize("table", ["bucket_sums", "day_sums"])
async def test_sums_and_items_never_part(store: SqlStore, database: str, table: str) -> None:
    agent = await register(store)
    await apply(store, agent, frame(0, 3))
    await apply(store, agent, frame(0, 3))
    await apply(store, agent, frame(3, 5))
    assert rows(database, f"SELECT sum(items), sum(input) FROM {table}") == rows(
        database, "SELECT count(*), sum(input) FROM items"
    )
