"""The file of charges is made of what is stored: every token and every digit of it is in there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricebook.price_file import read_price_book
from agentspec_usage.pricing.book import PriceBook, UnpricedReason
from agentspec_usage.pricing.focus.columns import FocusRow
from agentspec_usage.pricing.focus.rows import Export, rows_of
from agentspec_usage.pricing.focus.unpriced import unpriced_of
from agentspec_usage.pricing.focus.usage import Attribution, DayUsage
from agentspec_usage.pricing.money import PICO
from agentspec_usage.store.opening import open_store
from agentspec_usage.store.periods import Period, PeriodStatement
from agentspec_usage.store.queries import LedgerPosition, UsageFilter
from agentspec_usage.store.sql import focus, focus_moves
from agentspec_usage.store.sql.charging import NO_PRICES
from tests.unit.store.values import INSTANCE, NOW, apply, frame, register, rows

SEPTEMBER = Span(20_697 * DAY_MS, 20_727 * DAY_MS)
"""2026-09, which ``NOW`` is in."""

TODAY = NOW - NOW % DAY_MS

PRICES = """
currency: USD
entries:
  - match: {provider: openai, model: gpt}
    tiers:
      - {aboveInputTokens: 0, input: "3", cachedInput: "0.3", audioInput: "32", output: "15",
         requests: {web_search: "10000"}}
"""
BOOK = read_price_book(PRICES, NO_PRICES)
DEARER = read_price_book(PRICES.replace('"15"', '"20"'), NO_PRICES)

GPT = SeriesKey("openai", "gpt")
LOCAL = SeriesKey("openai", "of-our-own")


def call(
    seq: int,
    counts: TokenCounts,
    key: SeriesKey = GPT,
    at: int = NOW,
    requests: Mapping[str, int] | None = None,
    team: str = "",
) -> UsageRecord:
    return UsageRecord(
        seq, at, key, counts, requests=requests or {}, context=CallContext(team=team)
    )


def fill(database: str, *calls: UsageRecord, book: PriceBook = BOOK) -> str:
    """Store the calls of one agent in a store of their own; the agent's id."""

    async def run() -> str:
        store = open_store(database, book=book)
        try:
            agent = await register(store)
            known = (await store.durable(agent.agent_id, [INSTANCE])).get(INSTANCE, 0)
            numbered = [replace(one, seq=known + place) for place, one in enumerate(calls, 1)]
            await apply(store, agent, frame(known, known + len(calls), *numbered))
        finally:
            store.close()
        return agent.agent_id

    return asyncio.run(run())


def parts(database: str, asked: UsageFilter) -> tuple[LedgerPosition, list[list[DayUsage]]]:
    def use(
        position: LedgerPosition, found: Iterator[Sequence[DayUsage]]
    ) -> tuple[LedgerPosition, list[list[DayUsage]]]:
        return position, [list(part) for part in found]

    async def run() -> tuple[LedgerPosition, list[list[DayUsage]]]:
        store = open_store(database)
        try:
            return await store.day_usage(asked, use)
        finally:
            store.close()

    return asyncio.run(run())


def used(database: str, span: Span = SEPTEMBER) -> list[DayUsage]:
    return [one for part in parts(database, UsageFilter(span))[1] for one in part]


def written(database: str, span: Span = SEPTEMBER) -> list[FocusRow]:
    return rows_of(used(database, span), Export(span, "ledger"))


def shown(found: Sequence[FocusRow]) -> list[tuple[Any, ...]]:
    return [
        (row.sku_meter, row.consumed_quantity, row.list_unit_price, row.charge_class)
        for row in found
    ]


def close_before(database: str, end: int) -> None:
    """Close the 31 days before ``end``."""

    async def run() -> None:
        store = open_store(database, book=BOOK)
        try:
            period = Period("before", "UTC", Span(end - 31 * DAY_MS, end))
            await store.close_period(period, max(end, NOW))
        finally:
            store.close()

    asyncio.run(run())


def cost(found: Sequence[FocusRow]) -> Fraction:
    return sum((Fraction(row.billed_cost) for row in found), Fraction())


def booked(database: str, span: Span = SEPTEMBER) -> Fraction:
    """What the statement of the month says."""

    async def run() -> PeriodStatement:
        store = open_store(database)
        try:
            return await store.statement(span, NOW)
        finally:
            store.close()

    charged = [money.pico for one in asyncio.run(run()).usage for money in one.costs]
    return Fraction(sum(charged), PICO)


def test_a_day_is_summed_up_by_agent_team_and_model(database: str) -> None:
    counts = TokenCounts(input=100, output=10, calls=1)
    fill(
        database,
        call(1, counts),
        call(2, counts),
        call(3, counts, team="search"),
        call(4, counts, at=NOW - DAY_MS),
        call(5, counts, LOCAL),
    )
    position, found = parts(database, UsageFilter(SEPTEMBER))
    assert position.batch == 1
    sums = {
        (one.day, one.attribution.team, one.series.model): (one.counts[0], one.pico)
        for part in found
        for one in part
    }
    assert sums == {
        (TODAY - DAY_MS, "", "gpt"): (100, 450_000_000),
        (TODAY, "", "gpt"): (200, 900_000_000),
        (TODAY, "search", "gpt"): (100, 450_000_000),
        (TODAY, "", "of-our-own"): (100, 0),
    }
    assert [[one.day for one in part] for part in found] == [[TODAY - DAY_MS], [TODAY] * 3]


def test_what_has_no_price_comes_with_the_reason(database: str) -> None:
    fill(database, call(1, TokenCounts(input=100, calls=1), LOCAL))
    (one,) = used(database)
    assert one.prices is UnpricedReason.UNKNOWN_MODEL
    assert one.attribution == Attribution("team", "agent")


def test_units_beside_tokens_are_in_it(database: str) -> None:
    counts = TokenCounts(output=10, calls=1)
    fill(database, call(1, counts, requests={"web_search": 2}), call(2, counts))
    assert shown(written(database)) == [
        ("Output Tokens", 20, 15, None),
        ("Requests", 2, 10, None),
    ]


def test_another_month_is_not_in_it(database: str) -> None:
    counts = TokenCounts(output=10, calls=1)
    fill(
        database,
        call(1, counts, at=SEPTEMBER.start - 1, requests={"web_search": 2}),
        call(2, counts, at=SEPTEMBER.start),
    )
    assert shown(written(database)) == [("Output Tokens", 10, 15, None)]


def test_an_agent_s_own_usage_is_all_that_its_filter_lets_through(database: str) -> None:
    async def run() -> tuple[str, str]:
        store = open_store(database, book=BOOK)
        try:
            ids = []
            for name in ("one", "two"):
                agent = await register(store, name)
                await apply(store, agent, frame(0, 1, call(1, TokenCounts(output=10, calls=1))))
                ids.append(agent.agent_id)
        finally:
            store.close()
        return ids[0], ids[1]

    one, _ = asyncio.run(run())
    _, found = parts(database, UsageFilter(SEPTEMBER, agent_id=one))
    assert [each.attribution.agent for part in found for each in part] == ["one"]


def test_late_usage_of_a_closed_period_is_told_apart_on_the_day_it_was_used(
    database: str,
) -> None:
    counts = TokenCounts(output=10, calls=1)
    fill(database, call(1, counts, at=SEPTEMBER.start + 5))
    close_before(database, SEPTEMBER.start)
    fill(database, call(2, counts, at=SEPTEMBER.start - DAY_MS, requests={"web_search": 3}))
    found = written(database)
    assert shown(found) == [
        ("Output Tokens", 10, 15, "Correction"),
        ("Requests", 3, 10, "Correction"),
        ("Output Tokens", 10, 15, None),
    ]
    assert found[0].charge_period_start == SEPTEMBER.start - DAY_MS
    assert cost(found) == booked(database)


def test_calls_whose_cached_tokens_are_audio_are_taken_apart(database: str) -> None:
    fill(
        database,
        call(1, TokenCounts(input=100, cache_read=80, audio_in=90, calls=1)),
        call(2, TokenCounts(input=100, audio_in=50, calls=1), requests={"web_search": 1}),
    )
    found = written(database)
    assert sorted(shown(found)) == [
        ("Audio Input Tokens", 70, 32, None),
        ("Cached Input Tokens", 80, Fraction("0.3"), None),
        ("Input Tokens", 50, 3, None),
        ("Requests", 1, 10, None),
    ]
    assert cost(found) == booked(database)


_count = st.integers(0, 1000)
_counts = st.builds(
    lambda read, audio, rest, output: TokenCounts(
        input=max(read, audio) + rest, cache_read=read, audio_in=audio, output=output, calls=1
    ),
    *[_count] * 4,
)
_calls = st.lists(
    st.builds(
        call,
        st.just(0),
        _counts,
        st.sampled_from((GPT, LOCAL, replace(GPT, region="eu"))),
        st.integers(SEPTEMBER.start - 3 * DAY_MS, SEPTEMBER.start + 3 * DAY_MS),
        st.dictionaries(st.sampled_from(("web_search", "pages")), st.integers(1, 9), max_size=2),
        st.sampled_from(("", "search")),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=10, deadline=None)
@given(early=_calls, late=_calls, closes=st.booleans())
def test_every_token_and_every_digit_that_was_stored_is_in_the_file_or_beside_it(
    new_database: Callable[[], str],
    early: list[UsageRecord],
    late: list[UsageRecord],
    closes: bool,
) -> None:
    database = new_database()
    fill(database, *early)
    if closes:
        close_before(database, SEPTEMBER.start)
    fill(database, *late, book=DEARER)
    found = used(database)
    made = rows_of(found, Export(SEPTEMBER, "ledger"))
    assert cost(made) == booked(database)
    tokens = sum(row.consumed_quantity or 0 for row in made if row.consumed_unit == "Tokens")
    beside = sum(one.quantity for one in unpriced_of(found) if one.meter.endswith("Tokens"))
    query = "SELECT coalesce(sum(input + output), 0) FROM day_sums WHERE start >= ?"
    assert [(tokens + beside,)] == rows(database, query, SEPTEMBER.start)
    assert not any(row.charge_category == "Adjustment" for row in made)


def test_what_is_read_beside_the_sums_is_found_by_indexes_that_hold_nothing_else(
    file: Path,
) -> None:
    fill(str(file), call(1, TokenCounts(output=10, calls=1)))
    accounts = "SELECT account FROM accounts"
    for query, values, index in (
        (focus._LATE, 2, "items_of_closed_periods"),
        (focus._REQUESTS, 2, "items_with_requests"),
        (focus_moves._MOVED, 4, "items_priced_anew"),
    ):
        plan = rows(
            str(file), f"EXPLAIN QUERY PLAN {query.format(accounts=accounts)}", *range(values)
        )
        assert any(index in step[-1] for step in plan), plan
        assert not any("SCAN items" in step[-1] for step in plan), plan
