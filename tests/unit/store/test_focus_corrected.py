"""What was charged and then corrected is in the file of charges where its money is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.frame import Frame, bucket_of
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.pricebook.price_file import read_price_book
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.pricing.focus.rows import Export, rows_of
from agentspec_usage.pricing.focus.unpriced import unpriced_of
from agentspec_usage.pricing.money import PICO
from agentspec_usage.store.opening import open_store
from agentspec_usage.store.periods import Period
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.charging import NO_PRICES
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.values import Agent
from agentspec_usage.wire.observed_encoding import Observation
from tests.unit.store.test_focus import (
    BOOK,
    DEARER,
    GPT,
    LOCAL,
    booked,
    call,
    close_before,
    cost,
    fill,
    shown,
    used,
    written,
)
from tests.unit.store.test_periods import AUGUST, NOVEMBER, OCTOBER, SEPTEMBER
from tests.unit.store.values import INSTANCE, NOW, apply, register, rows

OTHERS = read_price_book(
    """
currency: EUR
entries:
  - match: {provider: openai, model: of-our-own}
    tiers: [{aboveInputTokens: 0, input: "1", output: "2"}]
""",
    NO_PRICES,
)
"""A price for what had none, in another currency, and none for what had one."""


TOKENS = "SELECT coalesce(sum(input + output), 0) FROM day_sums WHERE start >= ? AND start < ?"
TOKENS_BY_CURRENCY = """
    SELECT currency, sum(input + output) FROM day_sums JOIN prices USING (price)
    WHERE start >= ? AND start < ? GROUP BY currency HAVING sum(input + output) <> 0"""
MONEY = """
    SELECT currency, sum(milli), sum(pico) FROM day_sums JOIN prices USING (price)
    WHERE start >= ? AND start < ? AND currency <> '' GROUP BY currency"""


def price_anew(database: str, book: PriceBook, span: Span) -> None:
    """Price again what was used in ``span``."""

    async def run() -> None:
        store = open_store(database, book=book)
        try:
            await store.reprice(UsageFilter(span), NOVEMBER)
        finally:
            store.close()

    asyncio.run(run())


def test_calls_that_were_priced_anew_are_in_it_at_the_new_price(database: str) -> None:
    counts = TokenCounts(input=100, output=10, calls=1)
    fill(database, call(1, counts), call(2, counts, at=NOW + 1))
    price_anew(database, DEARER, Span(NOW, NOW + 1))
    found = written(database)
    assert sorted(shown(found)) == [
        ("Input Tokens", 100, 3, None),
        ("Input Tokens", 100, 3, None),
        ("Output Tokens", 10, 15, None),
        ("Output Tokens", 10, 20, None),
    ]
    assert cost(found) == booked(database)


def test_units_beside_tokens_that_were_priced_anew_follow_their_call(database: str) -> None:
    fill(database, call(1, TokenCounts(output=10, calls=1), requests={"web_search": 2}))
    price_anew(database, DEARER, SEPTEMBER.span)
    assert shown(written(database)) == [
        ("Output Tokens", 10, 20, None),
        ("Requests", 2, 10, None),
    ]


def test_calls_that_were_priced_twice_are_in_it_at_the_last_price(database: str) -> None:
    fill(database, call(1, TokenCounts(output=10, calls=1)))
    price_anew(database, DEARER, SEPTEMBER.span)
    price_anew(database, BOOK, SEPTEMBER.span)
    assert shown(written(database)) == [("Output Tokens", 10, 15, None)]


def test_a_call_that_got_a_price_later_is_no_longer_without_one(database: str) -> None:
    fill(database, call(1, TokenCounts(output=10, calls=1)), book=NO_PRICES)
    assert [one.quantity for one in unpriced_of(used(database))] == [10]
    price_anew(database, BOOK, SEPTEMBER.span)
    assert shown(written(database)) == [("Output Tokens", 10, 15, None)]
    assert unpriced_of(used(database)) == ()


def test_a_call_that_lost_its_price_is_beside_the_file(database: str) -> None:
    fill(database, call(1, TokenCounts(output=10, calls=1)))
    price_anew(database, NO_PRICES, SEPTEMBER.span)
    assert written(database) == []
    assert [one.quantity for one in unpriced_of(used(database))] == [10]


def test_a_new_price_for_a_closed_month_is_a_correction_of_both_prices(database: str) -> None:
    day = SEPTEMBER.span.start - DAY_MS
    fill(database, call(1, TokenCounts(output=10, calls=1), at=day))
    close_before(database, SEPTEMBER.span.start)
    price_anew(database, DEARER, AUGUST.span)
    assert shown(written(database)) == [
        ("Output Tokens", -10, 15, "Correction"),
        ("Output Tokens", 10, 20, "Correction"),
    ]
    assert shown(written(database, AUGUST.span)) == [("Output Tokens", 10, 15, None)]


@dataclass
class Reporting:
    """One process: what it called, how much of it was delivered, and the store that hears of it."""

    database: str
    now: int = AUGUST.span.start
    book: PriceBook = BOOK
    calls: list[UsageRecord] = field(default_factory=list)
    delivered: int = 0

    def call(self, key: SeriesKey, counts: TokenCounts, later: int) -> None:
        self.now += later
        self.calls.append(UsageRecord(len(self.calls) + 1, self.now, key, counts))

    def see(self) -> None:
        """Somebody reads its totals."""
        cells: dict[SeriesKey, TokenCounts] = {}
        for one in self.calls:
            cells[one.key] = cells.get(one.key, ZERO) + one.counts
        series = tuple(SeriesRow(key, counts) for key, counts in cells.items())
        totals = sum_counts(cells.values())
        reading = UsageSnapshot(totals, series, instance_id=INSTANCE, observer=Observer.SDK)
        seen = Observation("team", "agent", "pod", reading=UsageReading((reading,)))
        self._run(lambda store, _: store.observe([seen], lambda: "0" * 32, self.now))

    def deliver(self, count: int) -> None:
        last = min(self.delivered + count, len(self.calls))
        items = tuple(self.calls[self.delivered : last])
        if not items:
            return
        totals = sum_counts(one.counts for one in self.calls[:last])
        frame = Frame(
            instance_id=INSTANCE,
            observer=Observer.SDK,
            since=self.delivered,
            last=last,
            totals=totals,
            items=items,
        )
        self._run(lambda store, agent: apply(store, agent, frame, now=self.now))
        self.delivered = last

    def settle(self) -> None:
        """What was seen and never delivered is charged as an estimate."""
        until = bucket_of(self.now)
        self._run(lambda store, _: store.settle_tails(until, 100, self.now))

    def close(self) -> None:
        for period in (AUGUST, SEPTEMBER):
            if period.span.end <= self.now:
                self._close(period)

    def price_anew(self, book: PriceBook) -> None:
        """From now on, and for what there was."""
        self.book = book
        everything = UsageFilter(Span(0, OCTOBER.span.end))
        self._run(lambda store, _: store.reprice(everything, self.now))

    def _close(self, period: Period) -> None:
        self._run(lambda store, _: store.close_period(period, self.now))

    def _run(self, step: Callable[[SqlStore, Agent], Awaitable[object]]) -> None:
        async def run() -> None:
            store = open_store(self.database, book=self.book)
            try:
                await step(store, await register(store))
            finally:
                store.close()

        asyncio.run(run())


_count = st.integers(0, 50)
_counts = st.builds(
    lambda read, rest, output: TokenCounts(
        input=read + rest, cache_read=read, output=output, calls=1
    ),
    *[_count] * 3,
)
_keys = st.sampled_from((GPT, LOCAL, replace(GPT, region="eu")))
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("call"), _keys, _counts, st.integers(0, 6 * DAY_MS)),
        st.sampled_from((("see",), ("settle",), ("close",))),
        st.tuples(st.just("deliver"), st.integers(1, 3)),
        st.tuples(st.just("price_anew"), st.sampled_from((BOOK, DEARER, OTHERS))),
    ),
    min_size=4,
    max_size=14,
)


def check(database: str) -> None:
    """Every token and all of the money of each month is in its file, or said to have no price."""
    for period in (AUGUST, SEPTEMBER, OCTOBER):
        span = period.span.start, period.span.end
        found = used(database, period.span)
        made = rows_of(found, Export(period.span, "ledger"))
        for currency, milli, pico in rows(database, MONEY, *span):
            own = [row for row in made if row.billing_currency == currency]
            assert cost(own) == Fraction(milli * 10**9 + pico, PICO)
        tokens = sum(row.consumed_quantity or 0 for row in made if row.consumed_unit == "Tokens")
        beside = sum(one.quantity for one in unpriced_of(found) if one.meter.endswith("Tokens"))
        assert [(tokens + beside,)] == rows(database, TOKENS, *span)
        by_currency = dict[str, Decimal | int]({"": beside})
        for row in made:
            if row.consumed_unit == "Tokens":
                known = by_currency.get(row.billing_currency, 0)
                by_currency[row.billing_currency] = known + (row.consumed_quantity or 0)
        kept = {name: count for name, count in by_currency.items() if count}
        assert kept == dict(rows(database, TOKENS_BY_CURRENCY, *span))
        assert not any(row.charge_category == "Adjustment" for row in made)


def test_estimates_that_were_priced_anew_and_taken_back_leave_nothing(database: str) -> None:
    process = Reporting(database)
    counts = TokenCounts(input=100, output=10, calls=1)
    process.call(GPT, counts, DAY_MS)
    process.call(GPT, counts, DAY_MS)
    process.see()
    process.settle()
    process.price_anew(DEARER)
    check(database)
    process.deliver(1)
    process.price_anew(BOOK)
    process.call(LOCAL, counts, 30 * DAY_MS)
    process.see()
    process.close()
    check(database)
    process.deliver(2)
    process.price_anew(OTHERS)
    check(database)
    found = written(database, SEPTEMBER.span)
    assert [row.billed_cost for row in found if row.billing_currency == "EUR"] == [
        Decimal("0.0001"),
        Decimal("0.00002"),
    ]


@settings(max_examples=20, deadline=None)
@given(_steps)
def test_whatever_became_of_a_charge_the_file_has_every_token_where_its_money_is(
    steps: list[tuple[str, ...]],
) -> None:
    with TemporaryDirectory() as directory:
        database = f"{directory}/usage.db"
        process = Reporting(database)
        process.see()
        for name, *arguments in steps:
            getattr(process, name)(*arguments)
        check(database)
