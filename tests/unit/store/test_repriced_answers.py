"""What is shown after pricing again and taking back: every answer agrees with the bill."""

from __future__ import annotations

from datetime import UTC

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.periods import DAY_MS
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.pricing.money import Money
from agentspec_usage.pricing.statement import statement
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.store import SqlStore
from tests.unit.store.test_charges import BOOK, LOCAL
from tests.unit.store.test_periods import NOVEMBER, OCTOBER, SEPTEMBER, call, dollars, lines
from tests.unit.store.test_repricing import DEARER, EVER, IN_EUROS, filled, priced_again, total
from tests.unit.store.test_tail import ALWAYS, START, YESTERDAY, deliver, see, snapshot
from tests.unit.store.values import apply, frame, register, rows

AT = SEPTEMBER.span.start + DAY_MS


@pytest.mark.parametrize(
    ("before", "after", "amount"),
    [
        pytest.param(BOOK, IN_EUROS, Money(25 * 10**11, "EUR"), id="sorts before the old one"),
        pytest.param(IN_EUROS, BOOK, Money(3 * 10**12, "USD"), id="sorts after the old one"),
    ],
)
async def test_a_price_in_another_currency_leaves_one_line_and_one_total(
    database: str, before: PriceBook, after: PriceBook, amount: Money
) -> None:
    await _charged(database, before, call(1, AT))
    store = open_store(database, book=after)
    try:
        await store.reprice(EVER, NOVEMBER)
        made = statement((await store.statement(SEPTEMBER.span, NOVEMBER)).usage)
        ((line,), totals) = made.lines, made.totals
        assert (line.exact, line.counts.input) == (amount, 1_000_000)
        assert list(totals) == [amount.currency]
        assert (await store.sums(EVER)).total.amounts == (amount,)
    finally:
        store.close()


async def test_what_lost_its_price_has_no_amount_anywhere(database: str) -> None:
    own = UsageRecord(1, AT, LOCAL, TokenCounts(input=10, calls=1))
    await _charged(database, DEARER, own)
    store = open_store(database, book=BOOK)
    try:
        await store.reprice(EVER, NOVEMBER)
        (event,) = (await store.calls(EVER, 10)).calls
        (line,) = statement((await store.statement(SEPTEMBER.span, NOVEMBER)).usage).lines
        assert (event.cost, line.exact, line.amount, line.unpriced) == (None, None, None, 1)
        assert (await store.sums(EVER)).total.amounts == ()
    finally:
        store.close()


async def test_a_day_that_has_corrections_alone_is_a_day(database: str) -> None:
    await _charged(database, BOOK, call(1, AT))
    store = open_store(database, book=DEARER)
    try:
        await store.close_period(SEPTEMBER, NOVEMBER)
        await store.reprice(EVER, NOVEMBER)
        days = await store.days(EVER, UTC)
        assert [day.day.day.isoformat() for day in days] == ["2026-09-02", "2026-10-01"]
        costs = [money for day in days for money in day.sum.costs]
        assert costs == [*dollars(3), *dollars(1)]
    finally:
        store.close()


async def test_what_corrects_a_correction_is_in_its_line(database: str) -> None:
    await _charged(database, BOOK, call(1, AT))
    store = open_store(database, book=BOOK)
    try:
        await store.close_period(SEPTEMBER, NOVEMBER)
        late, both = call(2, AT), TokenCounts(input=2_000_000, calls=2)
        agent = await register(store)
        await apply(store, agent, frame(1, 2, late, totals=both), now=NOVEMBER)
    finally:
        store.close()
    store = open_store(database, book=DEARER)
    try:
        await store.reprice(EVER, NOVEMBER)
        # The late call at $4, and $1 that the call of the closed month costs more.
        assert lines(await store.statement(OCTOBER.span, NOVEMBER)) == {
            ("agent", "gpt", "correction of 2026-09"): (1_000_000, dollars(5))
        }
    finally:
        store.close()
    assert verify_database(database).finding is None


def test_a_dry_run_writes_no_prices_either(database: str) -> None:
    filled(database, BOOK, call(1, AT))
    before = rows(database, "SELECT * FROM prices")
    priced_again(database, DEARER, dry=True)
    assert rows(database, "SELECT * FROM prices") == before
    assert total(database).costs == dollars(3)


async def test_an_estimate_that_was_taken_back_counts_for_nothing_in_the_history(
    store: SqlStore,
) -> None:
    await see(store, snapshot(5), START - 1)
    await store.close_period(YESTERDAY, START)
    await deliver(store, 0, 3)
    billed = (await store.sums(UsageFilter(ALWAYS))).total.counts
    page = await store.calls(UsageFilter(ALWAYS), 100)
    assert (page.total, len(page.calls)) == (4, 4)
    assert sum(one.counts.input for one in page.calls) == billed.input == 5


async def _charged(database: str, book: PriceBook, *calls: UsageRecord) -> None:
    store = open_store(database, book=book)
    try:
        await apply(store, await register(store), frame(0, len(calls), *calls), now=NOVEMBER)
    finally:
        store.close()
