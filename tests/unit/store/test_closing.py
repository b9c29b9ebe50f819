"""When a period may be closed, and which may be the first: nobody closes too early unawares."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest

from agentspec_usage.metering.months import month_span
from agentspec_usage.metering.periods import DAY_MS
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.periods import ClosingRules, Period, PeriodError, closing_rules
from agentspec_usage.store.sql.store import SqlStore
from tests.unit.store.test_charges import BOOK
from tests.unit.store.test_periods import AUGUST, NOVEMBER, OCTOBER, SEPTEMBER, call
from tests.unit.store.test_tail import see, snapshot
from tests.unit.store.values import apply, frame, register

AFTER_A_DAY = ClosingRules(grace=DAY_MS, begin=False)
NEPAL = "Asia/Kathmandu"


@pytest.fixture
def priced_store(database: str) -> Iterator[SqlStore]:
    opened = open_store(database, book=BOOK)
    yield opened
    opened.close()


def test_early_needs_no_grace_and_hours_may_be_parts_of_one() -> None:
    assert closing_rules(1.5, early=False, begin=True) == ClosingRules(5_400_000, True)
    assert closing_rules(1.5, early=True, begin=False) == ClosingRules(0, False)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        pytest.param(
            NOVEMBER - 1,
            "2026-10 UTC ends at 2026-11-01T00:00:00.000Z: expected one that is over; it can be "
            "closed from 2026-11-02T00:00:00.000Z on",
            id="not over",
        ),
        pytest.param(
            NOVEMBER + DAY_MS - 1,
            "2026-10 UTC ended at 2026-11-01T00:00:00.000Z, and usage of it may still be under "
            "way: expected it to be closed from 2026-11-02T00:00:00.000Z on, or early on purpose "
            '("early": true, --early)',
            id="just over",
        ),
    ],
)
async def test_what_is_under_way_is_waited_for(store: SqlStore, now: int, message: str) -> None:
    with pytest.raises(PeriodError) as refused:
        await store.close_period(OCTOBER, now, AFTER_A_DAY)
    assert str(refused.value) == message
    assert await store.closed_periods() == []
    closed = await store.close_period(OCTOBER, NOVEMBER + DAY_MS, AFTER_A_DAY)
    assert closed.period == OCTOBER


async def test_one_that_is_over_may_be_closed_early_and_one_that_is_not_never(
    store: SqlStore,
) -> None:
    early = closing_rules(24, early=True, begin=False)
    with pytest.raises(PeriodError, match="expected one that is over"):
        await store.close_period(OCTOBER, NOVEMBER - 1, early)
    assert (await store.close_period(OCTOBER, NOVEMBER, early)).closed_at == NOVEMBER


async def test_what_comes_within_the_grace_is_in_its_own_month(priced_store: SqlStore) -> None:
    store = priced_store
    agent = await register(store)
    with pytest.raises(PeriodError):
        await store.close_period(OCTOBER, NOVEMBER, AFTER_A_DAY)
    await apply(store, agent, frame(0, 1, call(1, NOVEMBER - 1)), now=NOVEMBER + 60_000)
    await store.close_period(OCTOBER, NOVEMBER + DAY_MS, AFTER_A_DAY)
    (line,) = (await store.statement(OCTOBER.span, NOVEMBER + DAY_MS)).usage
    assert (line.account[-1], line.counts.calls, line.estimated) == ("", 1, 0)


async def test_one_that_is_closed_is_answered_as_it_was_whatever_is_asked_for(
    priced_store: SqlStore,
) -> None:
    store = priced_store
    agent = await register(store)
    await apply(store, agent, frame(0, 1, call(1, AUGUST.span.start)), now=NOVEMBER)
    first = await store.close_period(OCTOBER, NOVEMBER, ClosingRules(begin=True))
    assert await store.close_period(OCTOBER, NOVEMBER, AFTER_A_DAY) == first


async def test_the_first_one_is_that_of_the_oldest_usage_or_one_that_is_begun_with_on_purpose(
    priced_store: SqlStore, database: str
) -> None:
    store, now = priced_store, NOVEMBER + DAY_MS
    agent = await register(store)
    await apply(store, agent, frame(0, 1, call(1, AUGUST.span.end - 1)), now=NOVEMBER)
    with pytest.raises(PeriodError) as refused:
        await store.close_period(OCTOBER, now, AFTER_A_DAY)
    assert str(refused.value) == (
        "there is usage of 2026-08 UTC, before 2026-10, and no month is closed yet: expected "
        "2026-08 to be closed first, and each month after it in its turn; or begin with 2026-10 on "
        'purpose ("begin": true, --begin): what is older then stays outside of every closed month'
    )
    for month in (AUGUST, SEPTEMBER, OCTOBER):
        await store.close_period(month, now, AFTER_A_DAY)
    assert [closed.period for closed in await store.closed_periods()] == [
        *(AUGUST, SEPTEMBER, OCTOBER)
    ]
    assert verify_database(database).finding is None


async def test_one_that_is_begun_with_leaves_older_usage_where_it_is(
    priced_store: SqlStore, database: str
) -> None:
    store, now = priced_store, NOVEMBER + DAY_MS
    agent = await register(store)
    await apply(store, agent, frame(0, 1, call(1, AUGUST.span.start)), now=NOVEMBER)
    begin = closing_rules(24, early=False, begin=True)
    assert (await store.close_period(OCTOBER, now, begin)).period == OCTOBER
    (line,) = (await store.statement(AUGUST.span, now)).usage
    assert line.account[-1] == ""
    assert verify_database(database).finding is None


async def test_usage_at_its_very_beginning_is_its_own(priced_store: SqlStore) -> None:
    store = priced_store
    agent = await register(store)
    await apply(store, agent, frame(0, 1, call(1, OCTOBER.span.start)), now=NOVEMBER)
    assert (await store.close_period(OCTOBER, NOVEMBER + DAY_MS, AFTER_A_DAY)).period == OCTOBER


async def test_the_oldest_month_is_named_in_the_zone_that_is_closed(
    priced_store: SqlStore,
) -> None:
    store = priced_store
    agent = await register(store)
    august_in_nepal = month_span("2026-08", ZoneInfo(NEPAL))
    await apply(store, agent, frame(0, 1, call(1, august_in_nepal.start)), now=NOVEMBER)
    october = Period("2026-10", NEPAL, month_span("2026-10", ZoneInfo(NEPAL)))
    with pytest.raises(PeriodError, match="there is usage of 2026-08 Asia/Kathmandu"):
        await store.close_period(october, NOVEMBER + 2 * DAY_MS, AFTER_A_DAY)


async def test_usage_that_was_only_seen_is_usage_of_an_earlier_month(store: SqlStore) -> None:
    await see(store, snapshot(5), AUGUST.span.start)
    await see(store, snapshot(9), OCTOBER.span.start)
    with pytest.raises(PeriodError, match="there is usage of 2026-08 UTC"):
        await store.close_period(OCTOBER, NOVEMBER + DAY_MS, AFTER_A_DAY)
    assert (await store.close_period(AUGUST, NOVEMBER, AFTER_A_DAY)).period == AUGUST
