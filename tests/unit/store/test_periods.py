"""A closed period never changes: what comes late is a correction in the one that is open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.months import month_span
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.pricing.money import Money
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.periods import Period, PeriodError, PeriodStatement
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.store import SqlStore
from tests.unit.store.forging import rewrite_chain, rewrite_period
from tests.unit.store.test_charges import BOOK, GPT
from tests.unit.store.values import apply, edited, frame, register, rows

AUGUST, SEPTEMBER, OCTOBER = (
    Period(f"2026-{month:02}", "UTC", month_span(f"2026-{month:02}", UTC)) for month in (8, 9, 10)
)
NOVEMBER = OCTOBER.span.end
"""When the tests' clock stands: October is over."""


def call(seq: int, at: int, tokens: int = 1_000_000) -> UsageRecord:
    return UsageRecord(seq, at, GPT, TokenCounts(input=tokens, calls=1))


def lines(made: PeriodStatement) -> dict[tuple[str, ...], tuple[int, tuple[Money, ...]]]:
    """Tokens and costs by agent, model and note."""
    return {
        (used.account[3], used.account[4], used.account[5]): (used.counts.total, used.costs)
        for used in made.usage
    }


def dollars(amount: int) -> tuple[Money, ...]:
    return (Money(amount * 10**12),)


@pytest.fixture
def priced_store(database: str) -> Iterator[SqlStore]:
    opened = open_store(database, book=BOOK)
    yield opened
    opened.close()


async def test_what_comes_late_is_a_correction_and_the_closed_period_stays(
    priced_store: SqlStore,
) -> None:
    store = priced_store
    agent = await register(store)
    august, september = AUGUST.span.start + DAY_MS, SEPTEMBER.span.start + DAY_MS
    first = (call(1, august), call(2, september))
    await apply(store, agent, frame(0, 2, *first), now=NOVEMBER)
    closed = await store.close_period(AUGUST, NOVEMBER)
    before = await store.statement(AUGUST.span, NOVEMBER)
    assert lines(before) == {("agent", "gpt", ""): (1_000_000, dollars(3))}
    late = (call(3, august + 1), call(4, september + 1))
    await apply(store, agent, frame(2, 4, *late, totals=_totals(*first, *late)), now=NOVEMBER)
    assert await store.statement(AUGUST.span, NOVEMBER) == before
    assert before.closed == closed
    assert lines(await store.statement(SEPTEMBER.span, NOVEMBER)) == {
        ("agent", "gpt", ""): (2_000_000, dollars(6)),
        ("agent", "gpt", "correction of 2026-08"): (1_000_000, dollars(3)),
    }
    billed = await store.sums(UsageFilter(AUGUST.span))
    assert billed.total.counts.total == 1_000_000, "the sums of a closed period stay too"


async def test_late_usage_has_the_price_of_its_own_time(priced_store: SqlStore) -> None:
    store = priced_store
    agent = await register(store)
    await store.close_period(SEPTEMBER, NOVEMBER)
    early = SEPTEMBER.span.start + DAY_MS  # before the 20th, when the price fell from $3 to $2
    await apply(store, agent, frame(0, 1, call(1, early)), now=NOVEMBER)
    assert lines(await store.statement(OCTOBER.span, NOVEMBER)) == {
        ("agent", "gpt", "correction of 2026-09"): (1_000_000, dollars(3))
    }


async def test_what_is_older_than_any_closed_period_is_a_correction_too(
    priced_store: SqlStore,
) -> None:
    store = priced_store
    agent = await register(store)
    await store.close_period(SEPTEMBER, NOVEMBER)
    await apply(store, agent, frame(0, 1, call(1, AUGUST.span.start)), now=NOVEMBER)
    assert list(lines(await store.statement(OCTOBER.span, NOVEMBER))) == [
        ("agent", "gpt", "correction of an earlier period")
    ]


async def test_closing_twice_changes_nothing(store: SqlStore) -> None:
    first = await store.close_period(SEPTEMBER, NOVEMBER)
    assert await store.close_period(SEPTEMBER, NOVEMBER + 5) == first
    assert await store.closed_periods() == [first]


@pytest.mark.parametrize(
    ("period", "message"),
    [
        pytest.param(AUGUST, "expected the period that begins at 2026-10-01", id="earlier"),
        pytest.param(
            Period("2026-10", "Asia/Kathmandu", month_span("2026-10", ZoneInfo("Asia/Kathmandu"))),
            "2026-10 Asia/Kathmandu begins at 2026-09-30T18:15:00.000Z: expected",
            id="of another zone",
        ),
        pytest.param(
            Period("2026-11", "UTC", month_span("2026-11", UTC)), "begins at 2026-11-01", id="later"
        ),
    ],
)
async def test_periods_are_closed_in_their_order(
    store: SqlStore, period: Period, message: str
) -> None:
    await store.close_period(SEPTEMBER, NOVEMBER)
    with pytest.raises(PeriodError, match=message):
        await store.close_period(period, NOVEMBER + 60 * DAY_MS)


async def test_a_period_that_is_not_over_is_not_closed(store: SqlStore) -> None:
    with pytest.raises(PeriodError, match="expected one that is over"):
        await store.close_period(OCTOBER, NOVEMBER - 1)
    assert await store.closed_periods() == []


async def test_teams_and_cost_centres_have_lines_of_their_own(priced_store: SqlStore) -> None:
    store = priced_store
    agent = await register(store)
    at = SEPTEMBER.span.start
    calls = [
        UsageRecord(
            seq,
            at,
            GPT,
            TokenCounts(input=1_000_000, calls=1),
            context=CallContext(team=team),
        )
        for seq, team in enumerate(("search", "search", "ads", ""), 1)
    ]
    await apply(store, agent, frame(0, 4, *calls), now=NOVEMBER)
    made = await store.statement(SEPTEMBER.span, NOVEMBER)
    by_team = {used.account[2]: used.costs for used in made.usage}
    assert by_team == {"search": dollars(6), "ads": dollars(3), "": dollars(3)}


times = st.integers(-70, 30).map(lambda days: NOVEMBER + days * DAY_MS // 2)
programs = st.lists(
    st.one_of(
        st.tuples(st.just("call"), times, st.integers(1, 10**6)),
        st.tuples(st.just("close"), st.just(0), st.just(0)),
    ),
    max_size=30,
)


def _totals(*calls: UsageRecord) -> TokenCounts:
    total = TokenCounts()
    for one in calls:
        total += one.counts
    return total


@settings(max_examples=20)
@given(programs)
def test_whatever_comes_when_closed_months_stay_and_all_lines_sum_to_what_was_used(
    new_database: Callable[[], str], program: Sequence[tuple[str, int, int]]
) -> None:
    """I10 and I13 over any order of calls and closes."""
    database = new_database()
    store = open_store(database, book=BOOK)
    try:
        asyncio.run(_run(store, program))
    finally:
        store.close()
    assert verify_database(database).finding is None


async def _run(store: SqlStore, program: Sequence[tuple[str, int, int]]) -> None:
    months = [AUGUST, SEPTEMBER, OCTOBER]
    agent = await register(store)
    used: list[UsageRecord] = []
    written: list[tuple[Span, PeriodStatement]] = []
    for step, at, tokens in program:
        if step == "call":
            seq = len(used) + 1
            used.append(call(seq, at, tokens))
            one = frame(seq - 1, seq, used[-1], totals=_totals(*used))
            await apply(store, agent, one, now=NOVEMBER)
        elif months:
            month = months.pop(0)
            await store.close_period(month, NOVEMBER)
            written.append((month.span, await store.statement(month.span, NOVEMBER)))
    for span, made in written:
        assert await store.statement(span, NOVEMBER) == made
    edges = [0, AUGUST.span.start, AUGUST.span.end, SEPTEMBER.span.end, NOVEMBER, 2 * NOVEMBER]
    ever = [
        used
        for start, end in pairwise(edges)
        for used in (await store.statement(Span(start, end), NOVEMBER)).usage
    ]
    assert sum(one.counts.total for one in ever) == _totals(*used).total
    whole = (await store.sums(UsageFilter(Span(0, 2 * NOVEMBER)))).total
    billed = sum(money.pico for one in ever for money in one.costs)
    assert billed == sum(money.pico for money in whole.costs)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        pytest.param(
            "UPDATE periods SET statement = replace(statement, '3000000000000', '2000000000000')",
            "period 2026-09: its statement is not what was written down",
            id="another amount",
        ),
        pytest.param(
            "UPDATE periods SET name = '2026-07'",
            "period 2026-07: its statement is not what was written down",
            id="another name",
        ),
        pytest.param(
            "UPDATE periods SET last_item = 0",
            "period 2026-09: row 1 was added to it after it was closed",
            id="closed before its rows",
        ),
    ],
)
async def test_an_edit_of_a_closed_period_is_named(
    database: str, statement: str, finding: str
) -> None:
    store = open_store(database, book=BOOK)
    try:
        one = call(1, SEPTEMBER.span.start)
        await apply(store, await register(store), frame(0, 1, one), now=NOVEMBER)
        await store.close_period(SEPTEMBER, NOVEMBER)
    finally:
        store.close()
    with edited(database) as connection:
        connection.execute(statement)
    assert str(verify_database(database).finding) == finding


async def test_what_is_known_of_lost_calls_is_dated_after_a_closed_period_by_any_clock(
    priced_store: SqlStore, database: str
) -> None:
    agent = await register(priced_store)
    await priced_store.close_period(OCTOBER, NOVEMBER)
    behind = NOVEMBER - 5_000
    lost = frame(0, 2, lost=True, items=(), totals=TokenCounts(input=50, calls=2))
    await apply(priced_store, agent, lost, now=behind)
    found = rows(database, "SELECT kind, at, claimed_at, correction FROM items")
    assert found == [("lost", NOVEMBER, behind, 1)]
    assert verify_database(database).finding is None


async def test_a_statement_that_names_another_head_of_the_journal_is_named(
    priced_store: SqlStore, database: str
) -> None:
    one = call(1, SEPTEMBER.span.start)
    await apply(priced_store, await register(priced_store), frame(0, 1, one), now=NOVEMBER)
    await priced_store.close_period(SEPTEMBER, NOVEMBER)
    ((text,),) = rows(database, "SELECT statement FROM periods")
    document = json.loads(text)
    document["head"]["hash"] = "00" * 32
    forged = json.dumps(document, separators=(",", ":"), sort_keys=True)
    with edited(database) as connection:
        rewrite_chain(connection, {2: rewrite_period(connection, "2026-09", statement=forged)})
    finding = "period 2026-09: its statement was made at another batch"
    assert str(verify_database(database).finding) == finding


async def test_a_correction_of_a_period_that_was_taken_away_is_named(
    priced_store: SqlStore, database: str
) -> None:
    agent = await register(priced_store)
    await priced_store.close_period(SEPTEMBER, NOVEMBER)
    await apply(priced_store, agent, frame(0, 1, call(1, SEPTEMBER.span.start)), now=NOVEMBER)
    assert verify_database(database).finding is None
    with edited(database) as connection:
        connection.execute("DELETE FROM periods")
        rewrite_chain(connection, {1: None})
    finding = "row 1: it is a correction, and no period was closed before it"
    assert str(verify_database(database).finding) == finding
