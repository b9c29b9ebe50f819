"""What is stored is charged at the price in force, exactly, and sums of charges are theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts, sum_counts
from agentspec_usage.metering.frame import Aggregate
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricebook.price_file import read_price_book
from agentspec_usage.pricing.card import read_card
from agentspec_usage.pricing.charge import Charge, charge, price
from agentspec_usage.pricing.money import Money
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.queries import UsageFilter, UsageSum
from agentspec_usage.store.sql.charging import NO_PRICES, money_of, split
from agentspec_usage.store.sql.store import SqlStore
from tests.unit.store.values import INSTANCE, NOW, apply, edited, frame, register, rows

ALWAYS = Span(0, NOW + DAY_MS)

BOOK = read_price_book(
    """
currency: USD
entries:
  - match: {provider: openai, model: gpt}
    from: 2026-01-01
    to: 2026-09-20
    tiers: [{aboveInputTokens: 0, input: "3", cachedInput: "0.3", output: "15"}]
  - match: {provider: openai, model: gpt}
    from: 2026-09-20
    tiers: [{aboveInputTokens: 0, input: "2", cachedInput: "0.2", output: "10"}]
""",
    NO_PRICES,
)

GPT = SeriesKey("openai", "gpt")
LOCAL = SeriesKey("openai", "of-our-own")


def call(seq: int, key: SeriesKey, tokens: int, at: int = NOW) -> UsageRecord:
    counts = TokenCounts(input=tokens, output=tokens // 3, cache_read=tokens // 2, calls=1)
    return UsageRecord(seq, at, key, counts)


async def totals_of(store: SqlStore, span: Span = ALWAYS) -> UsageSum:
    return (await store.sums(UsageFilter(span))).total


async def test_a_call_costs_what_the_book_says_for_its_time(database: str) -> None:
    store = open_store(database, book=BOOK)
    try:
        agent = await register(store)
        counts = TokenCounts(input=1_000_000, output=100_000, calls=1)
        before, after = NOW - 10 * DAY_MS, NOW
        items = [UsageRecord(1, before, GPT, counts), UsageRecord(2, after, GPT, counts)]
        await apply(store, agent, frame(0, 2, *items))
        page = await store.calls(UsageFilter(ALWAYS), 10)
        assert [call.cost for call in page.calls] == [
            Money(3_000_000_000_000),  # 1 x $2 + 0.1 x $10
            Money(4_500_000_000_000),  # 1 x $3 + 0.1 x $15
        ]
        found = await totals_of(store)
        assert found.costs == (Money(7_500_000_000_000),)
        assert (found.priced, found.unpriced, found.estimated) == (2, 0, 0)
    finally:
        store.close()


async def test_what_has_no_price_costs_nothing_known_and_is_counted(database: str) -> None:
    store = open_store(database, book=BOOK)
    try:
        agent = await register(store)
        items = [call(1, GPT, 300), call(2, LOCAL, 300), call(3, LOCAL, 10)]
        await apply(store, agent, frame(0, 3, *items))
        sums = await store.sums(UsageFilter(ALWAYS))
        assert sums.by_model["of-our-own"].costs == ()
        assert sums.by_model["of-our-own"].unpriced == 2
        assert sums.total.unpriced == 2
        assert rows(database, "SELECT item, reason FROM items JOIN prices USING (price)") == [
            (1, ""),
            (2, "UnknownModel"),
            (3, "UnknownModel"),
        ]
        assert [call.cost for call in (await store.calls(UsageFilter(ALWAYS), 2)).calls] == [
            None,
            None,
        ]
    finally:
        store.close()


async def test_a_charge_names_the_version_of_the_book_that_gave_it(database: str) -> None:
    for book in (BOOK, NO_PRICES, BOOK):
        store = open_store(database, book=book)
        try:
            agent = await register(store)
            since = (await store.durable(agent.agent_id, [INSTANCE]))[INSTANCE]
            totals = sum_counts(call(seq, GPT, 10).counts for seq in range(since + 1))
            one = frame(since, since + 1, call(since + 1, GPT, 10), totals=totals)
            await apply(store, agent, one)
        finally:
            store.close()
    versions = rows(database, "SELECT item, catalogue, reason FROM items JOIN prices USING (price)")
    assert versions == [
        (1, BOOK.version, ""),
        (2, "none", "UnknownModel"),
        (3, BOOK.version, ""),
    ]


async def test_a_charge_can_be_made_again_from_its_card(database: str) -> None:
    store = open_store(database, book=BOOK)
    try:
        calls = [call(1, GPT, 300), call(2, GPT, 7_654_321, NOW - 10 * DAY_MS)]
        await apply(store, await register(store), frame(0, 2, *calls))
    finally:
        store.close()
    kept = rows(
        database,
        "SELECT milli, pico, card, sku, price_id, currency, above "
        "FROM items JOIN prices USING (price) ORDER BY item",
    )
    assert len({card for _, _, card, *_ in kept}) == 2, "the price changed in between"
    for one, (milli, pico, card, sku, price_id, currency, above) in zip(calls, kept, strict=True):
        prices = read_card(card, sku=sku, price_id=price_id, currency=currency, above=above)
        again = charge(one.counts, {}, prices, one.key.context_class)
        assert isinstance(again, Charge)
        assert again.amount == money_of(milli, pico, currency)


async def test_a_frame_that_comes_twice_is_charged_once(database: str) -> None:
    store = open_store(database, book=BOOK)
    try:
        agent = await register(store)
        one = frame(0, 2, call(1, GPT, 100), call(2, GPT, 7))
        await apply(store, agent, one)
        once = await totals_of(store)
        await apply(store, agent, one)
        assert await totals_of(store) == once
    finally:
        store.close()


times = st.integers(-40, 0).map(lambda quarter: NOW + quarter * 450_000)
calls = st.builds(call, st.just(0), st.sampled_from([GPT, LOCAL]), st.integers(1, 10**6), times)


@settings(max_examples=25)
@given(used=st.lists(calls, min_size=1, max_size=25), edges=st.tuples(times, times))
def test_sums_of_costs_are_those_of_the_calls(
    new_database: Callable[[], str], used: list[UsageRecord], edges: tuple[int, int]
) -> None:
    span = Span(min(edges), max(edges))
    items = [
        UsageRecord(seq, record.at, record.key, record.counts) for seq, record in enumerate(used, 1)
    ]

    async def check() -> None:
        database = new_database()
        store = open_store(database, book=BOOK)
        try:
            agent = await register(store)
            await apply(store, agent, frame(0, len(items), *items))
            inside = [item for item in items if span.start <= item.at < span.end]
            charges = [price(i.counts, {}, i.key, i.at, BOOK) for i in inside]
            true = sum(charge.amount.pico for charge in charges if isinstance(charge, Charge))
            priced = sum(isinstance(charge, Charge) for charge in charges)
            found = await totals_of(store, span)
            assert sum(money.pico for money in found.costs) == true
            assert (found.priced, found.unpriced) == (priced, len(inside) - priced)
            days = await store.days(UsageFilter(span), ZoneInfo("Asia/Kathmandu"))
            assert sum(money.pico for day in days for money in day.sum.costs) == true
        finally:
            store.close()
        assert verify_database(database).finding is None

    asyncio.run(check())


@pytest.mark.parametrize("edit", ["pico = pico - 1", "priced = 0", "estimated = 1"])
async def test_a_cost_that_was_edited_is_found(database: str, edit: str) -> None:
    store = open_store(database, book=BOOK)
    try:
        await apply(store, await register(store), frame(0, 1, call(1, GPT, 100)))
    finally:
        store.close()
    with edited(database) as connection:
        connection.execute(f"UPDATE day_sums SET {edit}")
    finding = verify_database(database).finding
    assert finding is not None
    assert finding.where.startswith("day_sums: ")


async def test_the_largest_charges_there_are_can_be_summed_and_larger_ones_have_no_price(
    database: str,
) -> None:
    store = open_store(database, book=BOOK)
    try:
        agent = await register(store)
        dear, absurd = 8 * 10**13, MAX_COUNT
        for number in range(20):
            counts = [TokenCounts(input=size, output=size, calls=1) for size in (dear, absurd)]
            items = [UsageRecord(seq, NOW, GPT, one) for seq, one in enumerate(counts, 1)]
            one = frame(0, 2, *items, instance_id=f"{number:032x}")
            await apply(store, agent, one)
        found = await totals_of(store)
        (cost,) = found.costs
        assert cost.amount == 20 * dear * Decimal(12) / 10**6
        assert (found.priced, found.unpriced) == (20, 20)
        assert rows(database, "SELECT DISTINCT reason FROM prices ORDER BY 1") == [
            ("",),
            ("Implausible",),
        ]
    finally:
        store.close()


async def test_what_one_agent_claims_beyond_all_bounds_keeps_nobody_from_the_sums(
    database: str,
) -> None:
    dear = read_price_book(
        """
currency: USD
entries:
  - match: {provider: openai, model: gpt}
    tiers: [{aboveInputTokens: 0, input: "3", output: "15", requests: {web_search: "1000000"}}]
""",
        NO_PRICES,
    )
    largest = TokenCounts(input=1, calls=MAX_COUNT)
    store = open_store(database, book=dear)
    try:
        agent = await register(store)
        for place in range(1100):  # of so many, neither thousandths nor calls sum up below 2^63
            bucket = (NOW // DAY_MS - place) * DAY_MS
            one = Aggregate(1, MAX_COUNT, bucket, GPT, largest, requests={"web_search": 10**9 - 1})
            await apply(
                store,
                agent,
                frame(0, MAX_COUNT, one, instance_id=f"{place:032x}", totals=largest),
            )
        for span in (ALWAYS, Span(0, NOW + 1)):
            found = await totals_of(store, span)
            assert found.costs == (Money(1100 * ((10**9 - 1) * 10**12 + 3_000_000)),)
            assert found.unpriced == 0
    finally:
        store.close()


@given(st.integers(-(10**30), 10**30))
def test_an_amount_in_two_integers_is_the_amount(pico: int) -> None:
    milli, rest = split(Money(pico))
    assert 0 <= rest < 10**9
    assert money_of(milli, rest, "USD") == Money(pico)


async def test_a_price_of_ever_so_many_units_is_kept_whole(database: str) -> None:
    random = Random(1)
    units = {
        f"unit_{random.getrandbits(64):016x}": f"0.{random.getrandbits(30)}" for _ in range(300)
    }
    requests = ", ".join(f'{unit}: "{rate}"' for unit, rate in units.items())
    large = read_price_book(
        f"""
currency: USD
entries:
  - match: {{provider: openai, model: gpt}}
    tiers: [{{aboveInputTokens: 0, input: "3", output: "15", requests: {{{requests}}}}}]
""",
        NO_PRICES,
    )
    store = open_store(database, book=large)
    try:
        agent = await register(store)
        await apply(store, agent, frame(0, 1, call(1, GPT, 100)))
        assert (await totals_of(store)).priced == 1
    finally:
        store.close()
    ((card,),) = rows(database, "SELECT card FROM prices")
    assert all(unit in card for unit in units)
