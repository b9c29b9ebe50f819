"""Several programs write into one database on a server: they take turns, and what each of them
remembers is true whatever the others do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.periods import Span
from agentspec_usage.metering.record import CallContext
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.values import DigestedFrame
from agentspec_usage.wire.records_encoding import frame_digest
from tests.unit.store.ledgers import BOOK
from tests.unit.store.values import INSTANCE, NOW, apply, frame, record, register, rows

ALWAYS = UsageFilter(Span(0, 2**52))
STORES = 3


@pytest.fixture
def stores(postgresql: str) -> Iterator[list[SqlStore]]:
    opened = [open_store(postgresql, book=BOOK) for _ in range(STORES)]
    yield opened
    for store in opened:
        store.close()


async def test_each_adds_to_one_chain_and_to_the_same_sums(
    stores: list[SqlStore], postgresql: str
) -> None:
    agent = await register(stores[0])

    async def send(store: SqlStore, number: int) -> None:
        """Calls of an instance, each of a series and a team that another store may meet first."""
        for seq in range(1, 16):
            key = SeriesKey("openai", f"gpt-{(seq + number) % 5}")
            context = CallContext(team=f"team-{(seq * number) % 4}", user="ann")
            one = record(seq, key=key, context=context, at=NOW - seq * 60_000)
            sent = frame(seq - 1, seq, one, instance_id=f"{number:032x}")
            assert (await apply(store, agent, sent)).items == 1

    numbers = range(1, 2 * STORES + 1)
    await asyncio.gather(*(send(stores[number % STORES], number) for number in numbers))
    verified = verify_database(postgresql)
    assert verified.finding is None
    assert verified.rows == 15 * len(numbers)
    truth = sum_counts(record(seq).counts for _ in numbers for seq in range(1, 16))
    found = [(await store.sums(ALWAYS)).total for store in stores]
    assert {total.counts for total in found} == {truth}
    assert found[0].costs == found[1].costs == found[2].costs != ()
    for table in ("series", "accounts", "prices"):
        ((made, different),) = rows(
            postgresql, f"SELECT count(*), count(DISTINCT hash) FROM {table}"
        )
        assert made == different, table


async def test_what_is_sent_to_all_of_them_at_once_counts_once(
    stores: list[SqlStore], postgresql: str
) -> None:
    agent = await register(stores[0])
    for since in range(0, 40, 4):
        sent = frame(since, since + 4)
        applied = await asyncio.gather(*(apply(store, agent, sent) for store in stores * 2))
        assert {tuple(one.answers.durable.items()) for one in applied} == {((INSTANCE, since + 4),)}
        assert sorted(one.items for one in applied) == [0, 0, 0, 0, 0, 4]
    assert rows(postgresql, "SELECT count(*), sum(input) FROM items") == [
        (40, sum(100 * seq for seq in range(1, 41)))
    ]
    assert verify_database(postgresql).finding is None


async def test_a_number_that_was_given_in_what_was_undone_is_not_remembered(
    stores: list[SqlStore], postgresql: str
) -> None:
    first, second, _ = stores
    agent = await register(first)
    new = SeriesKey("openai", "gpt-new")
    broken = frame(0, 2, record(1, key=new), record(2, key=new, counts=TokenCounts(input=2**70)))
    with pytest.raises(psycopg.DataError):
        await first.apply_frames(agent.agent_id, [DigestedFrame(broken, "broken")], NOW, 1)
    # The other store gives the series its number now, and the first has to ask for it.
    await apply(second, agent, frame(0, 1, record(1, key=new), instance_id="c" * 32))
    good = frame(0, 1, record(1, key=new))
    await first.apply_frames(agent.agent_id, [DigestedFrame(good, frame_digest(good))], NOW, 1)
    assert rows(postgresql, "SELECT DISTINCT model FROM items JOIN series USING (series)") == [
        ("gpt-new",)
    ]
    assert rows(postgresql, "SELECT count(*) FROM series") == [(1,)]
    assert verify_database(postgresql).finding is None
