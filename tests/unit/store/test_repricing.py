"""Pricing again: new amounts are additions, old ones stay, and doing it twice does nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricebook.price_file import read_price_book
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.pricing.money import Money
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.queries import Position, UsageFilter, UsageSum
from agentspec_usage.store.repricing import Repriced
from agentspec_usage.store.sql.charging import NO_PRICES
from agentspec_usage.store.sql.store import SqlStore
from tests.unit.store.test_charges import BOOK, GPT, LOCAL
from tests.unit.store.test_periods import NOVEMBER, OCTOBER, SEPTEMBER
from tests.unit.store.values import apply, frame, register, rows

EVER = UsageFilter(Span(0, 2 * NOVEMBER))

DEARER = read_price_book(
    """
currency: USD
entries:
  - match: {provider: openai, model: gpt}
    tiers: [{aboveInputTokens: 0, input: "4", output: "15"}]
  - match: {provider: openai, model: of-our-own}
    tiers: [{aboveInputTokens: 0, input: "1", output: "1"}]
""",
    NO_PRICES,
)
IN_EUROS = read_price_book(
    """
currency: EUR
entries:
  - match: {provider: openai, model: gpt}
    tiers: [{aboveInputTokens: 0, input: "2.5", output: "9"}]
""",
    NO_PRICES,
)


def call(seq: int, key: SeriesKey, tokens: int, at: int) -> UsageRecord:
    return UsageRecord(seq, at, key, TokenCounts(input=tokens, output=tokens // 7, calls=1))


def filled(database: str, book: PriceBook, *calls: UsageRecord) -> None:
    async def fill(store: SqlStore) -> None:
        totals = sum_counts(one.counts for one in calls)
        one = frame(0, len(calls), *calls, totals=totals)
        await apply(store, await register(store), one, now=NOVEMBER)

    opened = open_store(database, book=book)
    try:
        asyncio.run(fill(opened))
    finally:
        opened.close()


def priced_again(
    database: str, book: PriceBook, *, limit: int = 2000, dry: bool = False
) -> Repriced:
    """Every page of it, added up."""

    async def run(store: SqlStore) -> Repriced:
        seen = changed = 0
        after: Position | None = None
        differences: list[Money] = []
        while True:
            page = await store.reprice(EVER, NOVEMBER, after=after, limit=limit, dry=dry)
            seen, changed, after = seen + page.seen, changed + page.changed, page.next
            differences += page.differences
            if after is None:
                return Repriced(seen, changed, tuple(differences))

    opened = open_store(database, book=book)
    try:
        return asyncio.run(run(opened))
    finally:
        opened.close()


def total(database: str, asked: UsageFilter = EVER) -> UsageSum:
    async def read(store: SqlStore) -> UsageSum:
        return (await store.sums(asked)).total

    opened = open_store(database)
    try:
        return asyncio.run(read(opened))
    finally:
        opened.close()


AT = SEPTEMBER.span.start + DAY_MS


def test_the_same_prices_change_nothing(database: str) -> None:
    filled(database, BOOK, call(1, GPT, 1000, AT), call(2, LOCAL, 1000, AT))
    assert priced_again(database, BOOK) == Repriced(2, 0)
    assert rows(database, "SELECT count(*) FROM items") == [(2,)]


def test_new_prices_take_the_old_amount_back_and_charge_anew(database: str) -> None:
    filled(database, BOOK, call(1, GPT, 1_000_000, AT))
    found = priced_again(database, DEARER)
    assert found == Repriced(1, 1, (Money(10**12),))  # $4 instead of $3 a million
    kinds = "SELECT kind, corrects, calls, priced, milli FROM items ORDER BY item"
    assert rows(database, kinds) == [
        ("record", None, 1, 1, 5142),
        ("reversal", 1, -1, -1, -5143),  # thousandths are rounded down, the rest is above
        ("charge", 1, 1, 1, 6142),
    ]
    assert priced_again(database, DEARER) == Repriced(1, 0)
    assert priced_again(database, BOOK) == Repriced(1, 1, (Money(-(10**12)),))
    assert verify_database(database).finding is None


def test_what_had_no_price_gets_one_and_what_has_none_any_more_loses_it(database: str) -> None:
    filled(database, BOOK, call(1, LOCAL, 700, AT))
    assert total(database).unpriced == 1
    priced_again(database, DEARER)
    found = total(database)
    assert (found.unpriced, found.costs) == (0, (Money(800 * 10**6),))
    priced_again(database, BOOK)
    found = total(database)
    assert found.unpriced == 1
    assert sum(money.pico for money in found.costs) == 0


def test_another_currency_leaves_nothing_of_the_old_one(database: str) -> None:
    filled(database, BOOK, call(1, GPT, 7_000_000, AT))
    priced_again(database, IN_EUROS)
    found = {money.currency: money.pico for money in total(database).costs if money.pico}
    assert found == {"EUR": 26_500_000_000_000}  # 7 x 2.5 + 1 x 9


def test_in_a_closed_period_it_is_a_correction(database: str) -> None:
    filled(database, BOOK, call(1, GPT, 1_000_000, AT))

    async def close_and_price(store: SqlStore) -> None:
        await store.close_period(SEPTEMBER, NOVEMBER)
        before = await store.statement(SEPTEMBER.span, NOVEMBER)
        await store.reprice(EVER, NOVEMBER)
        assert await store.statement(SEPTEMBER.span, NOVEMBER) == before
        (line,) = (await store.statement(OCTOBER.span, NOVEMBER)).usage
        assert line.account[-1] == "correction of 2026-09"
        assert (line.costs, line.counts) == ((Money(10**12),), TokenCounts())

    opened = open_store(database, book=DEARER)
    try:
        asyncio.run(close_and_price(opened))
    finally:
        opened.close()
    assert verify_database(database).finding is None


def test_a_dry_run_tells_and_changes_nothing(database: str) -> None:
    filled(database, BOOK, call(1, GPT, 1_000_000, AT))

    async def tell(store: SqlStore) -> None:
        assert (await store.reprice(EVER, NOVEMBER, dry=True)).changed == 1

    opened = open_store(database, book=DEARER)
    try:
        asyncio.run(tell(opened))
    finally:
        opened.close()
    assert rows(database, "SELECT count(*) FROM items") == [(1,)]


times = st.integers(-60, 0).map(lambda days: NOVEMBER + days * DAY_MS)
calls = st.builds(call, st.just(0), st.sampled_from([GPT, LOCAL]), st.integers(1, 10**7), times)


@settings(max_examples=15)
@given(
    st.lists(calls, min_size=1, max_size=12),
    st.lists(st.sampled_from([BOOK, DEARER, IN_EUROS]), max_size=3),
    st.integers(1, 5),
)
def test_whatever_prices_there_were_before_the_last_ones_alone_count(
    new_database: Callable[[], str], used: list[UsageRecord], books: list[PriceBook], limit: int
) -> None:
    numbered = [UsageRecord(seq, c.at, c.key, c.counts) for seq, c in enumerate(used, 1)]
    database, other = new_database(), new_database()
    filled(database, BOOK, *numbered)
    for book in (*books, DEARER):
        priced_again(database, book, limit=limit)
    filled(other, DEARER, *numbered)
    found, expected = total(database), total(other)
    assert (found.counts, found.items, found.priced) == (
        *(expected.counts, expected.items, expected.priced),
    )
    assert [money for money in found.costs if money.pico] == list(expected.costs)
    assert verify_database(database).finding is None
