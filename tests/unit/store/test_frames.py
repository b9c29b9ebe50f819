"""Frames as they are stored: once each, in order, with watermark, totals and flags in one step."""

from __future__ import annotations

from types import MappingProxyType

import psycopg
import pytest

from agentspec_usage.metering.counts import COMPONENTS, TokenCounts, sum_counts
from agentspec_usage.metering.frame import BUCKET_MS, Aggregate, Frame, bucket_of
from agentspec_usage.metering.record import CallContext, CallStatus
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.store.errors import StoreError
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.proof.rows import DETAIL_COLUMNS
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.values import Agent, Applied, DigestedFrame
from tests.unit.store.values import (
    INSTANCE,
    NOW,
    OTHER_INSTANCE,
    apply,
    frame,
    record,
    register,
    rows,
)

ITEMS = "SELECT kind, first_seq, last_seq FROM items ORDER BY item"
COUNTS = ", ".join(COMPONENTS)
PLENTY = TokenCounts(input=10**6, output=10**6, calls=100)


def total(database: str, path: str = "applied") -> TokenCounts:
    ((*counts,),) = rows(
        database, f"SELECT {COUNTS} FROM instance_totals WHERE path = ? LIMIT 2", path
    )
    return TokenCounts(*counts)


def stored(database: str) -> TokenCounts:
    return sum_counts(TokenCounts(*row) for row in rows(database, f"SELECT {COUNTS} FROM items"))


def answered(applied: Applied) -> tuple[dict[str, int], dict[str, int]]:
    return applied.answers.durable, applied.answers.gaps


async def test_a_frame_is_stored_and_its_watermark_answered(store: SqlStore, database: str) -> None:
    agent = await register(store)
    applied = await apply(store, agent, frame(0, 3))
    assert answered(applied) == ({INSTANCE: 3}, {})
    assert applied.items == 3
    assert rows(database, ITEMS) == [("record", 1, 1), ("record", 2, 2), ("record", 3, 3)]
    assert total(database) == total(database, "reported") == stored(database)
    assert stored(database) == TokenCounts(input=600, output=6, calls=3)


async def test_frames_of_one_body_follow_each_other(store: SqlStore, database: str) -> None:
    agent = await register(store)
    applied = await apply(
        store, agent, frame(0, 2), frame(2, 5), frame(0, 1, instance_id=OTHER_INSTANCE)
    )
    assert answered(applied) == ({INSTANCE: 5, OTHER_INSTANCE: 1}, {})
    assert rows(database, "SELECT count(*) FROM items") == [(6,)]


@pytest.mark.parametrize("times", [2, 10])
async def test_a_frame_that_comes_again_changes_nothing(
    store: SqlStore, database: str, times: int
) -> None:
    agent = await register(store)
    for _ in range(times):
        assert answered(await apply(store, agent, frame(0, 3))) == ({INSTANCE: 3}, {})
    assert answered(await apply(store, agent, frame(0, 2))) == ({INSTANCE: 3}, {})
    assert rows(database, "SELECT count(*) FROM items") == [(3,)]
    assert rows(database, "SELECT conflicts FROM instances") == [(0,)]


async def test_a_frame_beyond_a_gap_is_not_stored_and_says_from_where_to_go_on(
    store: SqlStore, database: str
) -> None:
    agent = await register(store)
    await apply(store, agent, frame(0, 3))
    assert answered(await apply(store, agent, frame(5, 6))) == ({}, {INSTANCE: 3})
    assert rows(database, "SELECT count(*) FROM items") == [(3,)]


async def test_a_gap_of_an_instance_that_was_never_heard_of_leaves_nothing_behind(
    store: SqlStore, database: str
) -> None:
    agent = await register(store)
    assert answered(await apply(store, agent, frame(5, 6))) == ({}, {INSTANCE: 0})
    assert rows(database, "SELECT count(*) FROM instances") == [(0,)]


async def test_other_bytes_for_the_same_calls_are_a_conflict_and_the_first_stay(
    store: SqlStore, database: str
) -> None:
    agent = await register(store)
    await apply(store, agent, frame(0, 1))
    other = frame(0, 1, record(1, counts=TokenCounts(input=9999, calls=1)))
    applied = await apply(store, agent, other)
    assert applied.conflicts == (INSTANCE,)
    assert answered(applied) == ({INSTANCE: 1}, {})
    assert stored(database) == TokenCounts(input=100, output=1, calls=1)
    assert rows(database, "SELECT conflicts FROM instances") == [(1,)]


async def test_what_was_lost_is_an_item_of_its_own_that_makes_the_totals_right(
    store: SqlStore, database: str
) -> None:
    agent = await register(store)
    await apply(store, agent, frame(0, 2))
    totals = TokenCounts(input=5000, output=50, calls=10)
    lost = frame(2, 10, items=(), totals=totals, lost=True)
    applied = await apply(store, agent, lost, now=NOW + 7)
    assert applied.rolled_back == (INSTANCE,)
    assert answered(applied) == ({INSTANCE: 10}, {})
    assert rows(database, ITEMS)[-1] == ("lost", 3, 10)
    assert stored(database) == total(database) == totals
    assert rows(database, "SELECT rolled_back_at FROM instances") == [(NOW + 7,)]
    assert rows(
        database, "SELECT model, at FROM items JOIN series USING (series) WHERE kind = 'lost'"
    ) == [("__unattributed__", NOW + 7)]


@pytest.mark.parametrize(
    ("lost", "covered"),
    [
        pytest.param(
            frame(2, 10, items=(), totals=frame(0, 2).totals, lost=True),
            (3, 10),
            id="calls of which nothing is known",
        ),
        pytest.param(frame(2, 4, totals=PLENTY), (5, 4), id="calls missing beside others"),
        pytest.param(frame(2, 4, record(3)), (4, 4), id="fewer items than calls"),
    ],
)
async def test_items_cover_every_seq_up_to_the_watermark_whatever_is_lost(
    store: SqlStore, database: str, lost: Frame, covered: tuple[int, int]
) -> None:
    agent = await register(store)
    await apply(store, agent, frame(0, 2))
    applied = await apply(store, agent, lost)
    assert applied.rolled_back == (INSTANCE,)
    assert rows(database, ITEMS)[-1] == ("lost", *covered)
    assert stored(database) == total(database) == lost.totals
    assert verify_database(database).finding is None
    await apply(store, agent, frame(lost.last, lost.last + 1, totals=PLENTY + PLENTY))
    assert verify_database(database).finding is None


async def test_the_end_of_an_instance_is_stored_without_a_call(
    store: SqlStore, database: str
) -> None:
    agent = await register(store)
    await apply(store, agent, frame(0, 2))
    end = frame(2, 2, items=(), totals=frame(0, 2).totals, final=True)
    assert answered(await apply(store, agent, end)) == ({INSTANCE: 2}, {})
    assert rows(database, "SELECT seq, final FROM instances") == [(2, 1)]
    assert rows(database, "SELECT count(*) FROM items") == [(2,)]


async def test_one_agents_frames_change_nothing_of_anothers_with_the_same_instance_id(
    store: SqlStore, database: str
) -> None:
    mine, theirs = await register(store, "mine"), await register(store, "theirs")
    await apply(store, mine, frame(0, 3))
    assert answered(await apply(store, theirs, frame(3, 4))) == ({}, {INSTANCE: 0})
    assert answered(await apply(store, theirs, frame(0, 1))) == ({INSTANCE: 1}, {})
    assert await store.durable(mine.agent_id, [INSTANCE]) == {INSTANCE: 3}
    assert await store.durable(theirs.agent_id, [INSTANCE]) == {INSTANCE: 1}


async def test_an_agent_that_is_none_has_nothing_stored(store: SqlStore, database: str) -> None:
    nobody = Agent("agt_nobody", "team", "nobody", "k8s", NOW)
    with pytest.raises(StoreError, match="agt_nobody"):
        await apply(store, nobody, frame(0, 1))
    assert rows(database, "SELECT count(*) FROM instances") == [(0,)]


async def test_a_body_whose_second_frame_fails_stores_nothing_of_the_first(
    store: SqlStore, database: str
) -> None:
    agent = await register(store)
    broken = frame(0, 1, record(1, counts=TokenCounts(input=2**70, calls=1)))
    frames = [DigestedFrame(frame(0, 2, instance_id=OTHER_INSTANCE), "1")]
    with pytest.raises((OverflowError, psycopg.DataError)):
        await store.apply_frames(agent.agent_id, [*frames, DigestedFrame(broken, "2")], NOW, 1)
    assert rows(database, "SELECT count(*) FROM items") == [(0,)]
    assert answered(await apply(store, agent, frame(0, 1))) == ({INSTANCE: 1}, {})
    assert rows(database, "SELECT model FROM series JOIN items USING (series)") == [("gpt",)]


async def test_a_record_is_stored_with_everything_that_it_says(
    store: SqlStore, database: str
) -> None:
    agent = await register(store)
    key = SeriesKey("anthropic", "claude", "chat", "priority", "eu", True, 200000)
    counts = TokenCounts(*[*range(100, 113), 1, 0])
    one = record(
        1,
        at=NOW - 5,
        key=key,
        counts=counts,
        status=CallStatus.ABORTED,
        request_model="claude-latest",
        call_id="c-1",
        response_id="r-1",
        requests=MappingProxyType({"web_search": 2}),
        duration_ms=1200,
        ttft_ms=80,
        context=CallContext("u", "s", "r", "p", "t", MappingProxyType({"a": "b"})),
        raw='{"usage": "\ud83d"}',
    )
    await apply(store, agent, frame(0, 1, one, totals=counts))
    assert rows(
        database,
        f"SELECT at, claimed_at, received_at, status, coarse, requests, {COUNTS} FROM items",
    ) == [(NOW - 5, None, NOW, "aborted", 0, '{"web_search":2}', *counts.as_tuple())]
    assert rows(
        database,
        "SELECT provider, model, operation, service_tier, region, batch, context_class FROM series",
    ) == [("anthropic", "claude", "chat", "priority", "eu", 1, 200000)]
    assert rows(database, f"SELECT item, {', '.join(DETAIL_COLUMNS)} FROM item_details") == [
        (
            *(1, "claude-latest", "c-1", "r-1", 1200, 80),
            *("u", "s", "r", "p", "t", '{"a":"b"}', '{"usage": "?"}'),
        )
    ]


async def test_a_record_without_detail_has_no_row_of_it(store: SqlStore, database: str) -> None:
    await apply(store, await register(store), frame(0, 3))
    assert rows(database, "SELECT count(*) FROM item_details") == [(0,)]


async def test_an_aggregate_is_stored_with_its_bucket_and_its_calls(
    store: SqlStore, database: str
) -> None:
    counts = TokenCounts(input=30, calls=3, unmetered_calls=1)
    merged = Aggregate(1, 3, bucket_of(NOW), SeriesKey("openai", "gpt"), counts, coarse=True)
    applied = await apply(store, await register(store), frame(0, 3, merged))
    assert applied.items == 1
    assert rows(
        database, "SELECT kind, first_seq, last_seq, at, coarse, calls, unmetered_calls FROM items"
    ) == [("aggregate", 1, 3, NOW - NOW % BUCKET_MS, 1, 3, 1)]


async def test_a_series_has_one_number_however_often_it_is_used(
    store: SqlStore, database: str
) -> None:
    agent = await register(store)
    await apply(store, agent, frame(0, 3))
    await apply(store, agent, frame(0, 3, instance_id=OTHER_INSTANCE, observer=Observer.SIDECAR))
    assert rows(database, "SELECT count(*), count(DISTINCT series) FROM items") == [(6, 1)]
    assert rows(database, "SELECT observer FROM instances ORDER BY instance") == [
        ("sdk",),
        ("sidecar",),
    ]


async def test_what_is_stored_is_there_after_the_store_was_opened_anew(
    database: str,
) -> None:
    store = open_store(database)
    agent = await register(store)
    await apply(store, agent, frame(0, 3))
    store.close()
    again = open_store(database)
    try:
        assert await again.durable(agent.agent_id, [INSTANCE]) == {INSTANCE: 3}
        assert answered(await apply(again, agent, frame(3, 4))) == ({INSTANCE: 4}, {})
    finally:
        again.close()
