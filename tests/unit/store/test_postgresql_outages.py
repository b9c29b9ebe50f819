"""The server goes away and comes again: nothing acknowledged is lost, nothing is counted twice, and
nobody has to start a program anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from agentspec_usage.metering.periods import Span
from agentspec_usage.store.errors import StoreUnavailableError, StoreUnusableError
from agentspec_usage.store.opening import open_store, reading, verify_database
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.values import Agent
from tests.fakes.cut_connection import CutConnection, cut_connection
from tests.fixtures.postgresql import PostgresServer, of_its_own, schemas
from tests.unit.store.values import INSTANCE, apply, frame, register, rows

SECONDS = 30
ALWAYS = UsageFilter(Span(0, 2**52))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with of_its_own() as running:
        yield running


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    with schemas(server.url) as make:
        yield make()


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = open_store(url)
    yield opened
    opened.close()


async def in_time(store: SqlStore, agent: Agent, since: int, last: int) -> int:
    """Send until it is durable, as a sender does. How often that failed before."""
    failed = 0
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                applied = await apply(store, agent, frame(since, last))
            except StoreUnavailableError:
                failed += 1
                await asyncio.sleep(0.02)
            else:
                assert applied.answers.durable == {INSTANCE: last}
                return failed


async def read_in_time(store: SqlStore) -> int:
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return (await store.sums(ALWAYS)).total.counts.calls
            except StoreUnavailableError:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(PostgresServer.stop, id="stopped"),
        pytest.param(PostgresServer.crash, id="crashed"),
    ],
)
async def test_a_store_goes_on_by_itself_after_its_server_was_away(
    server: PostgresServer, url: str, store: SqlStore, how: Callable[[PostgresServer], None]
) -> None:
    agent = await register(store)
    assert await in_time(store, agent, 0, 3) == 0
    how(server)
    try:
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await apply(store, agent, frame(3, 5))
            with pytest.raises(StoreUnavailableError):
                await store.sums(ALWAYS)
        assert store.alive
        assert store.stats.failing
    finally:
        server.start()
    await in_time(store, agent, 3, 5)
    assert await read_in_time(store) == 5
    assert not store.stats.failing
    assert verify_database(url).finding is None


async def test_a_server_that_was_away_while_nothing_was_asked_is_not_missed(
    server: PostgresServer, store: SqlStore
) -> None:
    agent = await register(store)
    await apply(store, agent, frame(0, 3))
    assert await store.durable(agent.agent_id, [INSTANCE]) == {INSTANCE: 3}
    server.stop()
    server.start()
    assert await in_time(store, agent, 3, 5) == 0
    assert await store.durable(agent.agent_id, [INSTANCE]) == {INSTANCE: 5}
    assert store.stats.failed_commits == 0


async def test_a_server_that_can_only_be_read_is_not_used_until_it_is_promoted(
    server: PostgresServer, url: str, store: SqlStore
) -> None:
    agent = await register(store)
    assert await in_time(store, agent, 0, 3) == 0
    server.become_standby()
    try:
        with pytest.raises(StoreUnavailableError):
            await apply(store, agent, frame(3, 5))
        with pytest.raises(StoreUnavailableError):
            await store.durable(agent.agent_id, [INSTANCE])
        with reading(url) as connection:
            assert connection.execute("SELECT count(*) FROM items").fetchone() == (3,)
        with pytest.raises(StoreUnusableError, match="a server that is no standby"):
            verify_database(url)
    finally:
        server.promote()
    await in_time(store, agent, 3, 5)
    assert verify_database(url).finding is None


@pytest.fixture
def way(server: PostgresServer) -> Iterator[CutConnection]:
    with cut_connection(server.directory) as connection:
        yield connection


@pytest.mark.parametrize(
    ("words", "pass_on"),
    [
        pytest.param(b"BEGIN ", False, id="at the beginning"),
        pytest.param(b"COPY items", True, id="in the middle"),
        pytest.param(b"COMMIT\0", False, id="before the commit"),
        pytest.param(b"COMMIT\0", True, id="after the commit, before its answer"),
    ],
)
async def test_a_connection_lost_at_any_moment_loses_nothing_and_counts_nothing_twice(
    url: str, way: CutConnection, words: bytes, pass_on: bool
) -> None:
    own = url.replace(quote(str(way.server), safe=""), quote(str(way.directory), safe=""))
    assert own != url
    store = open_store(own)
    try:
        agent = await register(store)
        assert await in_time(store, agent, 0, 3) == 0
        way.cut_at(words, pass_on=pass_on)
        failed = await in_time(store, agent, 3, 7)
        assert way.happened.is_set()
        # A transaction that nobody heard of was not begun: the next connection begins it.
        assert failed == (0 if words == b"BEGIN " else 1)
        assert store.stats.failed_commits == failed
    finally:
        store.close()
    assert rows(url, "SELECT count(*), count(DISTINCT first_seq), max(last_seq) FROM items") == [
        (7, 7, 7)
    ]
    assert rows(url, "SELECT count(*) FROM batches") == [(2,)]
    assert verify_database(url).finding is None
