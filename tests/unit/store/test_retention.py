"""Old calls leave; what was charged, what is proved and what was taken already stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.periods import Period, PeriodStatement
from agentspec_usage.store.proof.signing import Signer
from agentspec_usage.store.proof.verified import Dropped
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.retention import PrunedError
from agentspec_usage.store.sql.store import SqlStore
from tests.unit.store.ledgers import good
from tests.unit.store.old_calls import EVER, MONTHS, TIMES, call, made_signer, pruned, stored
from tests.unit.store.test_charges import BOOK
from tests.unit.store.test_focus import DEARER as FOCUS_DEARER
from tests.unit.store.test_focus import booked, close_before, cost, fill, written
from tests.unit.store.test_focus import call as focus_call
from tests.unit.store.test_periods import AUGUST, NOVEMBER, SEPTEMBER
from tests.unit.store.test_repricing import DEARER
from tests.unit.store.values import apply, frame, register, rows


@pytest.fixture
def signer() -> Signer:
    return made_signer()


@pytest.fixture
def priced_store(database: str) -> Iterator[SqlStore]:
    opened = open_store(database, book=BOOK)
    yield opened
    opened.close()


async def test_calls_of_closed_months_leave_and_their_sums_stay(
    priced_store: SqlStore, database: str, signer: Signer
) -> None:
    store = priced_store
    await stored(store, *TIMES)
    for month in (AUGUST, SEPTEMBER):
        await store.close_period(month, NOVEMBER)
    before = [await store.statement(month.span, NOVEMBER) for month in MONTHS]
    total = await store.sums(EVER)
    assert await pruned(store, SEPTEMBER.span.end, signer, limit=2) == 6
    assert rows(database, "SELECT item FROM items ORDER BY item") == [(7,), (8,), (9,)]
    assert rows(database, "SELECT count(*) FROM item_details") == [(3,)]
    assert await store.sums(EVER) == total
    assert [await store.statement(month.span, NOVEMBER) for month in MONTHS] == before
    found = verify_database(database, is_signed=good)
    assert found.finding is None
    assert found.rows == 3
    assert found.dropped == Dropped(6, SEPTEMBER.span.end, signer.key_id)


async def test_the_history_shows_and_counts_the_calls_that_are_there(store: SqlStore) -> None:
    await stored(store, *TIMES)
    for month in (AUGUST, SEPTEMBER):
        await store.close_period(month, NOVEMBER)
    await pruned(store, AUGUST.span.end)
    history = await store.calls(EVER, 100)
    assert (len(history.calls), history.total) == (6, 6)
    late = UsageFilter(Span(AUGUST.span.start, SEPTEMBER.span.start + 2 * DAY_MS), user="ann")
    assert (await store.calls(late, 100)).total == 1


async def test_dropping_that_was_interrupted_is_proved_and_goes_on(
    store: SqlStore, database: str
) -> None:
    await stored(store, *TIMES)
    for month in (AUGUST, SEPTEMBER):
        await store.close_period(month, NOVEMBER)
    plan = await store.plan_pruning(SEPTEMBER.span.end)
    assert plan.rows == 6
    assert await store.prune(plan, None, NOVEMBER, 2) == 2
    found = verify_database(database)
    assert (found.finding, found.dropped) == (None, Dropped(2, SEPTEMBER.span.end, ""))
    assert await store.prune(await store.plan_pruning(AUGUST.span.end), None, NOVEMBER, 9) is None
    assert await pruned(store, SEPTEMBER.span.end) == 4
    assert verify_database(database).finding is None


async def test_what_was_dropped_is_not_taken_again(store: SqlStore, database: str) -> None:
    await stored(store, *TIMES)
    await store.close_period(AUGUST, NOVEMBER)
    await pruned(store, AUGUST.span.end)
    agent = (await store.agents_named("agent"))[0]
    again = frame(0, 1, call(1, TIMES[0]), totals=call(1, TIMES[0]).counts)
    applied = await apply(store, agent, again, now=NOVEMBER)
    assert applied.answers.durable == {again.instance_id: 9}
    assert rows(database, "SELECT count(*) FROM items") == [(6,)]


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(SEPTEMBER.span.end, id="a period that is open"),
        pytest.param(AUGUST.span.start, id="before any period"),
    ],
)
async def test_only_closed_periods_are_dropped(store: SqlStore, database: str, before: int) -> None:
    await stored(store, *TIMES)
    if before > AUGUST.span.end:
        await store.close_period(AUGUST, NOVEMBER)
    assert await pruned(store, before) == (3 if before > AUGUST.span.end else 0)


async def test_what_a_later_row_corrects_stays_with_its_corrections(
    database: str, signer: Signer
) -> None:
    store = open_store(database, book=BOOK)
    await stored(store, *TIMES)
    await store.close_period(AUGUST, NOVEMBER)
    store.close()
    store = open_store(database, book=DEARER)
    second = UsageFilter(Span(TIMES[1], TIMES[1] + 1))
    assert (await store.reprice(second, NOVEMBER)).changed == 1
    total = await store.sums(EVER)
    assert await pruned(store, AUGUST.span.end, signer) == 2
    assert (await store.sums(EVER)).total == total.total
    store.close()
    assert rows(database, "SELECT min(item), count(*) FROM items") == [(2, 9)]
    assert verify_database(database, is_signed=good).finding is None


async def test_a_span_that_was_dropped_is_not_priced_again(store: SqlStore) -> None:
    await stored(store, *TIMES)
    await store.close_period(AUGUST, NOVEMBER)
    await pruned(store, AUGUST.span.end)
    with pytest.raises(PrunedError, match="calls of before 2026-09-01T00:00:00"):
        await store.reprice(UsageFilter(AUGUST.span), NOVEMBER)
    assert (await store.reprice(UsageFilter(SEPTEMBER.span), NOVEMBER)).seen == 3


times = st.integers(-190, 2).map(lambda halves: NOVEMBER + halves * DAY_MS // 2)
programs = st.lists(
    st.one_of(
        st.tuples(st.just("call"), times),
        st.tuples(st.just("close"), st.just(0)),
        st.tuples(st.just("reprice"), times),
        st.tuples(st.just("prune"), times),
    ),
    max_size=20,
)


@settings(max_examples=8)
@given(programs)
def test_whatever_is_dropped_when_every_statement_stays_and_all_is_proved(
    new_database: Callable[[], str], program: Sequence[tuple[str, int]]
) -> None:
    database = new_database()
    stores = [open_store(database, book=BOOK)]
    try:
        asyncio.run(_run(stores, database, program))
    finally:
        stores[-1].close()
    assert str(verify_database(database).finding) == "None"


async def _run(stores: list[SqlStore], database: str, program: Sequence[tuple[str, int]]) -> None:
    months = list(MONTHS)
    agent = await register(stores[-1])
    used: list[UsageRecord] = []
    written: list[tuple[Period, PeriodStatement]] = []
    for step, at in program:
        store = stores[-1]
        match step:
            case "call":
                used.append(call(len(used) + 1, at))
                totals = sum_counts(one.counts for one in used)
                one = frame(len(used) - 1, len(used), used[-1], totals=totals)
                await apply(store, agent, one, now=NOVEMBER)
            case "close" if months:
                month = months.pop(0)
                await store.close_period(month, NOVEMBER)
                written.append((month, await store.statement(month.span, NOVEMBER)))
            case "reprice":
                store.close()
                stores.append(open_store(database, book=(DEARER, BOOK)[len(stores) % 2 == 0]))
                with suppress(PrunedError):
                    await stores[-1].reprice(UsageFilter(Span(at, 2 * NOVEMBER)), NOVEMBER)
            case "prune":
                total = await store.sums(EVER)
                await pruned(store, at, limit=2)
                assert await store.sums(EVER) == total
                assert verify_database(database).finding is None
    for month, made in written:
        assert await stores[-1].statement(month.span, NOVEMBER) == made
    total = await stores[-1].sums(EVER)
    assert total.total.counts == sum_counts(one.counts for one in used)
    history = await stores[-1].calls(EVER, 1000)
    assert len(history.calls) == history.total


def test_a_file_of_charges_of_a_dropped_month_has_the_same_amounts(database: str) -> None:
    """With fees beside tokens, a price that was changed, and a correction."""
    counts = TokenCounts(input=100, output=10, calls=1)
    searched = {"web_search": 3}
    at = SEPTEMBER.span.start + DAY_MS
    fill(database, focus_call(1, counts, at=at), focus_call(2, counts, at=at, requests=searched))
    close_before(database, SEPTEMBER.span.start)
    fill(database, focus_call(3, counts, at=SEPTEMBER.span.start - DAY_MS, requests=searched))

    async def priced_anew_and_closed() -> None:
        store = open_store(database, book=FOCUS_DEARER)
        try:
            assert (await store.reprice(UsageFilter(SEPTEMBER.span), NOVEMBER)).changed > 0
            await store.close_period(SEPTEMBER, NOVEMBER)
        finally:
            store.close()

    async def dropped() -> None:
        store = open_store(database)
        try:
            await pruned(store, SEPTEMBER.span.end)
        finally:
            store.close()

    asyncio.run(priced_anew_and_closed())
    before = cost(written(database))
    asyncio.run(dropped())
    assert rows(database, "SELECT count(*) FROM items") == [(0,)]
    assert cost(written(database)) == before == booked(database) > 0
    assert verify_database(database).finding is None
