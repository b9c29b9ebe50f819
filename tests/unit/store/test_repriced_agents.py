"""What an agent costs after its usage was priced again: in what is paid for it now, and in nothing
that was before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.store.observed import AgentUsage, Cost, Used
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.queries import AgentName, UsageFilter
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.wire.observed_encoding import Observation
from tests.unit.store.test_charges import BOOK, GPT, LOCAL
from tests.unit.store.test_periods import NOVEMBER, OCTOBER
from tests.unit.store.test_repricing import DEARER, IN_EUROS
from tests.unit.store.values import INSTANCE, apply, frame, register

EVER = UsageFilter(Span(0, 2 * NOVEMBER))
NAME = AgentName("team", "agent")
AT = OCTOBER.span.start + DAY_MS
MILLION = 1_000_000
UNIT = 10**12


def call(seq: int, key: SeriesKey, tokens: int = MILLION, at: int = AT) -> UsageRecord:
    return UsageRecord(seq, at, key, TokenCounts(input=tokens, calls=1))


def step(database: str, book: PriceBook, work: Callable[[SqlStore], Awaitable[object]]) -> None:
    async def run() -> None:
        store = open_store(database, book=book)
        try:
            await work(store)
        finally:
            store.close()

    asyncio.run(run())


def filled(database: str, book: PriceBook, *calls: UsageRecord, since: int = 0) -> None:
    """Deliver those of ``calls`` after the first ``since``."""

    async def fill(store: SqlStore) -> None:
        totals = sum_counts(one.counts for one in calls)
        one = frame(since, len(calls), *calls[since:], totals=totals)
        await apply(store, await register(store), one, now=NOVEMBER - 1)

    step(database, book, fill)


def priced_again(database: str, book: PriceBook) -> None:
    step(database, book, lambda store: store.reprice(EVER, NOVEMBER))


def usage(database: str, now: int = NOVEMBER - 1) -> AgentUsage:
    found: list[Mapping[AgentName, AgentUsage]] = []
    month = OCTOBER.span if now < NOVEMBER else Span(NOVEMBER, NOVEMBER + 30 * DAY_MS)

    async def read(store: SqlStore) -> None:
        found.append(await store.agent_usage([NAME], Span(AT, AT + DAY_MS), month, now))

    step(database, BOOK, read)
    return found[0][NAME]


GPT_DOLLARS = Cost(MILLION, 2 * UNIT)  # $2 a million in October
ALL_DEAR = Cost(2 * MILLION, 5 * UNIT)  # $4 and $1
GPT_EUROS = Cost(MILLION, 25 * UNIT // 10)
LOCAL_FREE_OF_PRICE = Cost(MILLION)


@pytest.mark.parametrize(
    ("books", "expected"),
    [
        pytest.param([BOOK], {"USD": GPT_DOLLARS, "": LOCAL_FREE_OF_PRICE}, id="as it was stored"),
        pytest.param([BOOK, DEARER], {"USD": ALL_DEAR}, id="what had no price has one"),
        pytest.param(
            [DEARER, BOOK],
            {"USD": GPT_DOLLARS, "": LOCAL_FREE_OF_PRICE},
            id="what had a price has none",
        ),
        pytest.param(
            [DEARER, IN_EUROS],
            {"EUR": GPT_EUROS, "": LOCAL_FREE_OF_PRICE},
            id="another currency, and no price",
        ),
        pytest.param([IN_EUROS, DEARER], {"USD": ALL_DEAR}, id="back from another currency"),
        pytest.param(
            [BOOK, DEARER, IN_EUROS, BOOK],
            {"USD": GPT_DOLLARS, "": LOCAL_FREE_OF_PRICE},
            id="round and back",
        ),
    ],
)
def test_tokens_are_in_the_currency_that_is_paid_for_them_now(
    database: str, books: Sequence[PriceBook], expected: Used
) -> None:
    filled(database, books[0], call(1, GPT), call(2, LOCAL))
    for book in books[1:]:
        priced_again(database, book)
    found = usage(database)
    assert (found.today, found.month, found.ever) == (expected, expected, expected)
    assert verify_database(database).finding is None


def test_another_currency_of_a_part_leaves_the_rest_in_the_old_one(database: str) -> None:
    filled(database, BOOK, call(1, GPT), call(2, GPT, at=AT + DAY_MS))
    later = UsageFilter(Span(AT + 1, 2 * NOVEMBER))
    step(database, IN_EUROS, lambda store: store.reprice(later, NOVEMBER))
    assert usage(database).ever == {"USD": GPT_DOLLARS, "EUR": GPT_EUROS}


def test_a_price_for_a_closed_month_is_in_the_open_one_without_a_part_that_has_none(
    database: str,
) -> None:
    filled(database, BOOK, call(1, LOCAL))
    step(database, BOOK, lambda store: store.close_period(OCTOBER, NOVEMBER))
    priced_again(database, DEARER)
    found = usage(database, NOVEMBER)
    assert found.month == {"": Cost(-MILLION), "USD": Cost(MILLION, UNIT)}
    assert found.ever == {"USD": Cost(MILLION, UNIT)}
    assert verify_database(database).finding is None


def test_an_estimate_that_got_a_price_and_is_taken_back_leaves_what_was_delivered(
    database: str,
) -> None:
    calls = call(1, LOCAL), call(2, LOCAL)
    counts = sum_counts(one.counts for one in calls)
    reading = UsageSnapshot(counts, (SeriesRow(LOCAL, counts),), instance_id=INSTANCE)
    seen = Observation(*("team", "agent", "pod"), seen_at=AT, reading=UsageReading((reading,)))

    async def see_and_settle(store: SqlStore) -> None:
        await store.observe([seen], lambda: "0" * 32, AT)
        await store.settle_tails(NOVEMBER, 10, NOVEMBER)

    step(database, BOOK, see_and_settle)
    assert usage(database).ever == {"": Cost(2 * MILLION)}
    priced_again(database, DEARER)
    assert usage(database).ever == {"USD": Cost(2 * MILLION, 2 * UNIT, estimated=True)}
    filled(database, DEARER, calls[0])
    assert usage(database).ever == {"USD": Cost(2 * MILLION, 2 * UNIT, estimated=True)}
    filled(database, DEARER, *calls, since=1)
    assert usage(database).ever == {"USD": Cost(2 * MILLION, 2 * UNIT)}
    assert verify_database(database).finding is None


books = st.sampled_from([BOOK, DEARER, IN_EUROS])
keys = st.sampled_from([GPT, LOCAL])
times = st.integers(0, 20).map(lambda days: AT + days * DAY_MS)
calls = st.tuples(keys, st.integers(1, 10**6), times)


@settings(max_examples=15)
@given(st.lists(calls, min_size=1, max_size=6), st.lists(books, min_size=1, max_size=4))
def test_whatever_prices_there_were_the_last_ones_alone_show(
    new_database: Callable[[], str],
    used: list[tuple[SeriesKey, int, int]],
    program: list[PriceBook],
) -> None:
    records = [call(seq, *one) for seq, one in enumerate(used, 1)]
    database, other = new_database(), new_database()
    filled(database, BOOK, *records)
    for book in program:
        priced_again(database, book)
    filled(other, program[-1], *records)
    assert usage(database) == usage(other)
