"""Usage of a process whose clock is wrong is charged when it arrives, and is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from agentspec_usage.metering.believing import MAX_AHEAD_MS, MAX_BEHIND_MS
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.frame import Aggregate, Item, bucket_of
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.pricing.focus.rows import Export, rows_of
from agentspec_usage.pricing.money import Money
from agentspec_usage.pricing.statement import Usage
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.charging import NO_PRICES
from agentspec_usage.store.sql.store import SqlStore
from tests.unit.store.test_charges import BOOK, GPT
from tests.unit.store.test_focus import used
from tests.unit.store.test_periods import NOVEMBER, OCTOBER, call
from tests.unit.store.test_repricing import DEARER
from tests.unit.store.test_tail import NAME, see, snapshot
from tests.unit.store.values import NOW, apply, frame, record, register, rows

IN_1970 = 86_400_000
ARRIVED = OCTOBER.span.start + DAY_MS


def merged(bucket: int) -> Aggregate:
    return Aggregate(1, 2, bucket, GPT, TokenCounts(input=1_000_000, calls=2))


@pytest.mark.parametrize(
    ("item", "stored_at", "claimed"),
    [
        pytest.param(
            record(1, at=NOW + MAX_AHEAD_MS), NOW + MAX_AHEAD_MS, None, id="a little ahead"
        ),
        pytest.param(
            *(record(1, at=NOW + MAX_AHEAD_MS + 1), NOW + MAX_AHEAD_MS, NOW + MAX_AHEAD_MS + 1),
            id="more",
        ),
        pytest.param(
            record(1, at=NOW - MAX_BEHIND_MS), NOW - MAX_BEHIND_MS, None, id="a spool of weeks"
        ),
        pytest.param(
            *(record(1, at=NOW - MAX_BEHIND_MS - 1), NOW, NOW - MAX_BEHIND_MS - 1), id="older"
        ),
        pytest.param(record(1, at=0), NOW, 0, id="a record of 1970"),
        pytest.param(merged(IN_1970), NOW, IN_1970, id="merged records of 1970"),
        pytest.param(
            merged(bucket_of(4 * 10**12)),
            *(NOW + MAX_AHEAD_MS, bucket_of(4 * 10**12)),
            id="merged records of 2096",
        ),
    ],
)
async def test_no_clock_can_date_usage_far_from_when_it_came(
    store: SqlStore, database: str, item: Item, stored_at: int, claimed: int | None
) -> None:
    last = 1 if isinstance(item, UsageRecord) else item.to_seq
    await apply(store, await register(store), frame(0, last, item))
    assert rows(database, "SELECT at, claimed_at FROM items") == [(stored_at, claimed)]


def run(
    database: str, step: Callable[[SqlStore], Awaitable[object]], book: PriceBook = BOOK
) -> None:
    async def opened() -> None:
        store = open_store(database, book=book)
        try:
            await step(store)
        finally:
            store.close()

    asyncio.run(opened())


def charged(database: str, *calls: UsageRecord) -> None:
    """A clock of 1970 sent them, and they came in October."""

    async def fill(store: SqlStore) -> None:
        counts = TokenCounts(input=1_000_000 * len(calls), calls=len(calls))
        one = frame(0, len(calls), *calls, totals=counts)
        await apply(store, await register(store), one, now=ARRIVED)

    run(database, fill)


def statement_of(database: str, span: Span) -> Sequence[Usage]:
    found: list[Usage] = []

    async def read(store: SqlStore) -> None:
        found.extend((await store.statement(span, NOVEMBER)).usage)

    run(database, read)
    return found


def test_usage_of_1970_is_in_the_month_in_which_it_came_as_a_price_by_an_assumption(
    database: str,
) -> None:
    charged(database, call(1, IN_1970), call(2, ARRIVED))
    (line,) = statement_of(database, OCTOBER.span)
    assert (line.counts.calls, line.costs) == (2, (Money(4 * 10**12),))  # $2 a million in October
    assert (line.estimated, line.unpriced) == (1, 0)
    assert statement_of(database, Span(0, OCTOBER.span.start)) == []
    assert verify_database(database).finding is None


def test_usage_without_a_price_is_no_estimate_of_one(database: str) -> None:
    async def fill(store: SqlStore) -> None:
        await apply(store, await register(store), frame(0, 1, record(1, at=IN_1970)), now=ARRIVED)
        assert (await store.sums(UsageFilter(OCTOBER.span))).total.estimated == 0

    run(database, fill, NO_PRICES)
    assert rows(database, "SELECT priced, estimated FROM items") == [(0, 0)]


def test_prices_of_now_are_those_of_the_time_that_is_believed_and_stay_assumed(
    database: str,
) -> None:
    charged(database, call(1, IN_1970))

    async def price_again(store: SqlStore, changed: int) -> None:
        made = await store.reprice(UsageFilter(Span(0, NOVEMBER)), NOVEMBER)
        assert made.changed == changed

    run(database, lambda store: price_again(store, 0))
    run(database, lambda store: price_again(store, 1), DEARER)
    run(database, lambda store: price_again(store, 0), DEARER)
    (line,) = statement_of(database, OCTOBER.span)
    assert (line.costs, line.estimated) == ((Money(4 * 10**12),), 1)
    assert verify_database(database).finding is None


def test_what_a_clock_of_1970_used_before_a_close_stays_in_the_closed_month(
    database: str,
) -> None:
    charged(database, call(1, IN_1970))

    async def close_and_price(store: SqlStore) -> None:
        await store.close_period(OCTOBER, NOVEMBER)
        await store.reprice(UsageFilter(Span(0, NOVEMBER)), NOVEMBER)

    run(database, close_and_price, DEARER)
    (closed,) = statement_of(database, OCTOBER.span)
    (late,) = statement_of(database, Span(NOVEMBER, NOVEMBER + DAY_MS))
    assert (closed.account[-1], closed.costs) == ("", (Money(2 * 10**12),))
    assert (late.account[-1], late.costs) == ("correction of 2026-10", (Money(2 * 10**12),))
    assert verify_database(database).finding is None


@pytest.mark.parametrize(
    ("at", "used_at"),
    [
        pytest.param(IN_1970, NOVEMBER - 5000, id="in 1970"),
        pytest.param(4 * 10**12, NOVEMBER - 600_000 + MAX_AHEAD_MS, id="in 2096"),
    ],
)
def test_what_is_not_believed_and_comes_late_is_a_correction_of_the_believed_month(
    database: str, at: int, used_at: int
) -> None:
    """The clock here is behind that of whoever closed the month."""
    received = NOVEMBER - (5000 if at == IN_1970 else 600_000)

    async def close_and_fill(store: SqlStore) -> None:
        await store.close_period(OCTOBER, NOVEMBER)
        await apply(store, await register(store), frame(0, 1, call(1, at)), now=received)

    run(database, close_and_fill)
    assert rows(database, "SELECT at, claimed_at, correction FROM items") == [
        (NOVEMBER, used_at, 1)
    ]
    (line,) = statement_of(database, Span(NOVEMBER, NOVEMBER + DAY_MS))
    assert line.account[-1] == "correction of 2026-10"
    november = Span(NOVEMBER, NOVEMBER + 30 * DAY_MS)
    (row,) = rows_of(used(database, november), Export(november, "ledger"))
    assert row.charge_period_start == NOVEMBER - DAY_MS
    assert verify_database(database).finding is None


async def test_what_an_operator_saw_by_a_clock_of_1970_was_used_when_it_came(
    store: SqlStore, database: str
) -> None:
    await see(store, snapshot(5), IN_1970, now=NOW)
    assert rows(database, "SELECT DISTINCT bucket FROM tail_marks") == [(bucket_of(NOW),)]
    day = Span(NOW - NOW % DAY_MS, NOW - NOW % DAY_MS + DAY_MS)
    found = (await store.agent_usage([NAME], day, day, NOW))[NAME]
    assert found.month[""].tokens == 5


def test_an_estimate_that_is_charged_long_after_it_was_seen_has_the_price_of_then(
    database: str,
) -> None:
    """Nobody's clock was wrong: the control plane was away for a winter."""
    seen = OCTOBER.span.start
    later = seen + 2 * MAX_BEHIND_MS

    async def settle(store: SqlStore) -> None:
        await see(store, snapshot(5), seen)
        await store.close_period(OCTOBER, later)
        await see(store, snapshot(9), seen + DAY_MS, now=seen + DAY_MS)
        await store.settle_tails(later, 10, later)
        assert (await store.reprice(UsageFilter(Span(0, later)), later)).changed == 0

    run(database, settle)
    assert rows(database, "SELECT claimed_at, correction FROM items ORDER BY item") == [
        (None, 0),
        (bucket_of(seen + DAY_MS), 1),
    ]
    assert verify_database(database).finding is None
