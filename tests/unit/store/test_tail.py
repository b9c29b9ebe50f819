"""What was seen and not delivered: charged at a close, taken back by its calls, shown till then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from random import Random
from typing import Any

import pytest

from agentspec_usage.metering.counts import COMPONENTS, MAX_COUNT, TokenCounts, sum_counts
from agentspec_usage.metering.frame import BUCKET_MS
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.series import MAX_SERIES, SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.metering.windows import MAX_OPEN_WINDOWS
from agentspec_usage.pricebook.price_file import read_price_book
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.pricing.money import Money
from agentspec_usage.store.observed import AgentUsage
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.periods import Period
from agentspec_usage.store.queries import AgentName, UsageFilter
from agentspec_usage.store.sql.charging import NO_PRICES
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.wire.observed_encoding import Observation
from tests.unit.store.values import (
    GPT,
    INSTANCE,
    NOW,
    OTHER_INSTANCE,
    apply,
    edited,
    frame,
    record,
    register,
    rows,
)


def book(price: str) -> PriceBook:
    """So many dollars a million tokens."""
    return read_price_book(
        f"""
currency: USD
entries:
  - match: {{provider: openai, model: gpt}}
    from: 2020-01-01
    tiers: [{{aboveInputTokens: 0, input: "{price}", output: "{price}"}}]
""",
        NO_PRICES,
    )


START = NOW - NOW % DAY_MS
YESTERDAY = Period("yesterday", "UTC", Span(START - DAY_MS, START))
ALWAYS = Span(0, START + 400 * DAY_MS)
NAME = AgentName("team", "agent")
MICRO = 10**6
"""Of 10^-12 in the price of one token, where a million cost a dollar."""

ids = count(1)


@pytest.fixture
def priced(database: str) -> Iterator[SqlStore]:
    opened = open_store(database, book=book("1"))
    yield opened
    opened.close()


def draw() -> str:
    return f"{next(ids):032x}"


def used(tokens: int) -> TokenCounts:
    """A token a call."""
    return TokenCounts(input=tokens, calls=tokens)


def snapshot(tokens: int, instance_id: str | None = INSTANCE, **changes: Any) -> UsageSnapshot:
    rows = (SeriesRow(GPT, used(tokens)),)
    return UsageSnapshot(used(tokens), rows, instance_id=instance_id, **changes)


async def see(store: SqlStore, one: UsageSnapshot, at: int, now: int | None = None) -> None:
    reading = UsageReading((one,))
    observation = Observation(*("team", "agent", "pod"), seen_at=at, reading=reading)
    await store.observe([observation], draw, at if now is None else now)


async def deliver(store: SqlStore, since: int, last: int, at: int = NOW) -> None:
    items = [record(seq, at=at, counts=used(1)) for seq in range(since + 1, last + 1)]
    one = frame(since, last, *items, totals=used(last))
    await apply(store, await register(store), one, now=START + DAY_MS)


async def usage(store: SqlStore) -> AgentUsage:
    today = Span(START, START + DAY_MS)
    return (await store.agent_usage([NAME], today, ALWAYS, START + DAY_MS))[NAME]


async def charged(store: SqlStore, span: Span = ALWAYS) -> tuple[int, int, int]:
    """Tokens, 10^-12 of a dollar, and calls whose price is an estimate."""
    found = (await store.sums(UsageFilter(span))).total
    pico = sum(money.pico for money in found.costs)
    return found.counts.total, pico, found.estimated


async def test_a_close_charges_what_was_seen_until_then_and_shows_the_rest(
    priced: SqlStore, database: str
) -> None:
    for tokens, minutes in ((3, -30), (5, -16), (9, -1), (11, 1)):
        await see(priced, snapshot(tokens), START + minutes * 60_000)
    await priced.close_period(YESTERDAY, START + BUCKET_MS)
    assert await charged(priced) == (9, 9 * MICRO, 9)
    buckets = "SELECT start, input FROM bucket_sums ORDER BY start"
    assert rows(database, buckets) == [
        (START - 2 * BUCKET_MS, 5),
        (START - BUCKET_MS, 4),
    ]
    assert (await usage(priced)).tail.total == 2
    assert verify_database(database).finding is None


async def test_two_closes_charge_a_stretch_once(priced: SqlStore) -> None:
    await see(priced, snapshot(5), START - 1)
    await priced.close_period(YESTERDAY, START)
    await see(priced, snapshot(5), START + 1)
    await see(priced, snapshot(7), START + 2)
    today = Period("today", "UTC", Span(START, START + DAY_MS))
    await priced.close_period(today, START + DAY_MS)
    assert await charged(priced, YESTERDAY.span) == (5, 5 * MICRO, 5)
    assert await charged(priced, today.span) == (2, 2 * MICRO, 2)


async def test_late_calls_take_their_estimates_back_in_the_open_period(
    priced: SqlStore, database: str
) -> None:
    await see(priced, snapshot(5), START - 1)
    closed = await priced.close_period(YESTERDAY, START)
    await deliver(priced, 0, 2, at=START - 1)
    assert await charged(priced, YESTERDAY.span) == (5, 5 * MICRO, 5)
    assert await charged(priced, Span(START, ALWAYS.end)) == (0, 0, -2)
    await deliver(priced, 2, 5, at=START - 1)
    assert await charged(priced) == (5, 5 * MICRO, 0)
    assert await priced.closed_periods() == [closed]
    assert rows(database, "SELECT DISTINCT kind, at, correction FROM items ORDER BY kind") == [
        ("estimate", START - BUCKET_MS, 0),
        ("record", START, 1),
        ("reversal", START, 1),
    ]
    assert verify_database(database).finding is None


@pytest.mark.parametrize("taken", [pytest.param(2, id="a part"), pytest.param(5, id="all")])
async def test_an_estimate_that_was_priced_anew_is_taken_back_at_its_new_price(
    database: str, taken: int
) -> None:
    first = open_store(database, book=book("1"))
    await see(first, snapshot(5), START - DAY_MS)
    assert await first.settle_tails(START, 16, START) == 1
    first.close()
    dearer = open_store(database, book=book("3"))
    try:
        await dearer.reprice(UsageFilter(ALWAYS), START)
        assert await charged(dearer) == (5, 15 * MICRO, 5)
        await deliver(dearer, 0, taken)
        assert await charged(dearer) == (5, 15 * MICRO, 5 - taken)
        await dearer.reprice(UsageFilter(ALWAYS), START)
        assert await charged(dearer) == (5, 15 * MICRO, 5 - taken)
        of_records = "SELECT sum(milli * 1000000000 + pico) FROM items WHERE kind = 'record'"
        assert int(rows(database, of_records)[0][0]) == taken * 3 * MICRO
    finally:
        dearer.close()
    assert verify_database(database).finding is None


async def test_pieces_leave_nothing_whatever_the_rate(database: str) -> None:
    """I11."""
    store = open_store(database, book=book("0.333333"))
    try:
        await see(store, snapshot(7), START - DAY_MS)
        await store.settle_tails(START, 16, START)
        for since in range(7):
            await deliver(store, since, since + 1)
        found = (await store.sums(UsageFilter(ALWAYS))).total
        assert found.costs == (Money(7 * 333_333),)
        left = "SELECT sum(milli * 1000000000 + pico) FROM items WHERE kind <> 'record'"
        assert rows(database, left)[0][0] == 0
    finally:
        store.close()


async def test_what_a_snapshot_leaves_out_is_charged_without_a_price(priced: SqlStore) -> None:
    cut = UsageSnapshot(used(9), (SeriesRow(GPT, used(4)),), instance_id=INSTANCE)
    await see(priced, cut, START - DAY_MS)
    before = await usage(priced)
    await priced.settle_tails(START, 16, START)
    after = await usage(priced)
    assert before.ever == after.ever
    assert {currency: cost.tokens for currency, cost in after.ever.items()} == {"USD": 4, "": 5}


async def test_readings_in_any_order_come_to_the_same_totals(priced: SqlStore) -> None:
    """I6."""
    seen = [(tokens, START - DAY_MS + tokens * BUCKET_MS) for tokens in range(1, 30)]
    Random(7).shuffle(seen)
    for tokens, at in seen:
        await see(priced, snapshot(tokens), at, now=START)
        await see(priced, snapshot(tokens), at, now=START)
    assert (await usage(priced)).tail == used(29)


async def test_windows_are_kept_between_readings_and_retired_ones_stay_counted(
    database: str,
) -> None:
    many = MAX_OPEN_WINDOWS + 6
    for start in range(1, many + 1):
        if start in (1, many // 2):
            store = open_store(database, book=book("1"))
        for tokens in (start, 1):
            await see(store, snapshot(tokens, None, window_started_at=start), NOW)
        if start in (many // 2 - 1, many):
            await see(store, snapshot(1000, None, window_started_at=1), NOW - 1)
            first = (await usage(store)).tail.total
            store.close()
    assert first == 1000 + sum(range(2, many + 1))


async def test_made_up_models_cost_a_bounded_number_of_rows(
    priced: SqlStore, database: str
) -> None:
    """I15."""
    for body in range(4):
        names = [f"made-up-{body}-{number}" for number in range(100)]
        series = tuple(SeriesRow(SeriesKey("x", name), used(1 + body)) for name in names)
        totals = sum_counts(row.counts for row in series)
        one = UsageSnapshot(totals, series, instance_id=INSTANCE, observer=Observer.SDK)
        await see(priced, one, START + body)
    assert rows(database, "SELECT count(*) FROM tails") == [(MAX_SERIES + 1,)]
    assert (await usage(priced)).tail.total == 400


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        pytest.param(
            "UPDATE instance_cells SET input = input + 1",
            "instance_cells: instance 1, series {}",
            id="a cell",
        ),
        pytest.param(
            "DELETE FROM instance_cells", "instance_cells: instance 1, series {}", id="no cell"
        ),
        pytest.param(
            "UPDATE instance_totals SET calls = calls + 1 WHERE path = 'estimated'",
            "instance_totals: instance 1",
            id="what is estimated",
        ),
    ],
)
async def test_verify_notices_what_would_be_charged_again(
    database: str, statement: str, finding: str
) -> None:
    store = open_store(database)
    await see(store, snapshot(5), START - DAY_MS)
    await store.settle_tails(START, 16, START)
    store.close()
    assert verify_database(database).finding is None
    with edited(database) as connection:
        connection.execute(statement)
    (series,) = rows(database, "SELECT series FROM items")[0]
    found = verify_database(database).finding
    assert found is not None
    assert found.where == finding.format(series)


async def test_absurd_claims_do_not_make_it_look_as_if_rows_were_changed(
    store: SqlStore, database: str
) -> None:
    """Sums stop at the largest count: what is taken back from one leaves another number there."""
    at = START - DAY_MS
    await see(store, snapshot(5), at)
    await store.settle_tails(START, 16, START)
    most = TokenCounts(input=MAX_COUNT, calls=1)
    items = [record(seq, at=at, counts=most) for seq in (1, 2, 3)]
    totals = TokenCounts(input=MAX_COUNT, calls=3)
    absurd = frame(0, 3, *items, totals=totals, instance_id=OTHER_INSTANCE)
    await apply(store, await register(store), absurd, now=START)
    await deliver(store, 0, 5)
    assert verify_database(database).finding is None


async def test_settling_takes_the_oldest_tails_and_no_more_instances_than_asked(
    priced: SqlStore, database: str
) -> None:
    for number in range(5):
        await see(priced, snapshot(1, f"{number:032x}"), START - DAY_MS + number * BUCKET_MS)
    assert await priced.settle_tails(START, 2, START) == 2
    oldest: Sequence[tuple[int]] = rows(database, "SELECT at FROM items ORDER BY at")
    assert oldest == [(START - DAY_MS,), (START - DAY_MS + BUCKET_MS,)]
    assert [await priced.settle_tails(START, 2, START) for _ in range(3)] == [2, 1, 0]
    sums = ", ".join(f"sum({name})" for name in COMPONENTS)
    (row,) = rows(database, f"SELECT {sums} FROM items")
    assert TokenCounts(*map(int, row)) == used(5)
