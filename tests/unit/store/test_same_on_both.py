"""Whatever is asked of it, a store in a file and one on a server answer and hold the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import COMPONENTS, TokenCounts
from agentspec_usage.metering.months import month_span
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.store.errors import StoreError
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.periods import Period
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.values import DigestedFrame
from agentspec_usage.wire.records_encoding import frame_digest
from tests.fixtures.postgresql import schemas
from tests.unit.store.test_charges import BOOK
from tests.unit.store.test_heartbeats import heartbeat, snapshot
from tests.unit.store.values import NOW, frame, registration, rows

NAMES = ("writer", "Writer", "écrivain", "_")
NAMESPACES = ("team-a", "Team-B")
INSTANCES = tuple(f"{number:032x}" for number in range(3))
MODELS = ("gpt", "gpt-other", "Größe", "__x__")
KNOWN = tuple((name, NAMESPACES[0]) for name in NAMES[:3])
"""Agents that are registered from the beginning; others may be later, or never."""
ZONE = ZoneInfo("Asia/Kathmandu")
MONTHS = ("2026-08", "2026-09")

agents = st.one_of(
    st.sampled_from(KNOWN), st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMESPACES))
)
instances = st.sampled_from(INSTANCES)
times = st.integers(-45, 1).map(lambda days: NOW + days * DAY_MS // 2)
tokens = st.sampled_from([0, 1, 700, 10**6, 2**53 - 1])


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is asked of a store; ``of`` are its arguments, as hypothesis drew them."""

    what: str
    of: tuple[Any, ...]


def steps(what: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(*arguments).map(lambda drawn: Step(what, drawn))


calls = st.lists(
    st.tuples(st.sampled_from(MODELS), tokens, times, st.sampled_from(["", "ann", "Bob", "büro"])),
    max_size=5,
)
asked = st.builds(
    lambda ends, namespace, model, user: UsageFilter(
        Span(min(ends), max(ends)), namespace=namespace, model=model, user=user
    ),
    st.tuples(times, times),
    st.sampled_from(["", *NAMESPACES]),
    st.sampled_from(["", *MODELS]),
    st.just(""),
)

programs = st.lists(
    st.one_of(
        steps("register", agents),
        steps("send", agents, instances, calls, st.booleans()),
        steps("send", agents, instances, calls, st.booleans()),
        steps("send", agents, instances, calls, st.booleans()),
        steps("again", agents, instances),
        steps("beyond", agents, instances),
        steps("beat", agents, instances, tokens),
        steps("revoke", agents),
        steps("settle", times),
        steps("close", st.sampled_from(MONTHS)),
        steps("reprice", asked),
        steps("ask", asked),
    ),
    min_size=4,
    max_size=24,
)


class Told:
    """One store, and what it is told: the same program makes the same frames for any store."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._stands: dict[tuple[object, str], int] = {}
        self._newest: dict[tuple[object, str], DigestedFrame] = {}

    async def take(self, step: Step) -> object:
        """What the store answers, or how it refuses."""
        try:
            return await getattr(self, f"_{step.what}")(*step.of)
        except StoreError as error:
            return type(error), str(error)

    async def _register(self, agent: tuple[str, str]) -> object:
        return await self._store.register(self._registration(agent), NOW)

    async def _revoke(self, agent: tuple[str, str]) -> object:
        await self._store.revoke(self._id(agent), NOW + 1)
        return await self._store.agents()

    async def _send(
        self, agent: tuple[str, str], instance: str, of: list[tuple[Any, ...]], final: bool
    ) -> object:
        since = self._stands.get((agent, instance), 0)
        records = [
            UsageRecord(
                seq,
                at,
                SeriesKey("openai", model),
                TokenCounts(input=count, output=count // 3, calls=1),
                context=CallContext(user=who, team=who),
            )
            for seq, (model, count, at, who) in enumerate(of, since + 1)
        ]
        totals = TokenCounts(input=min(10**7 * (since + len(of)), 2**53 - 1), calls=since + len(of))
        made = frame(
            since, since + len(of), *records, instance_id=instance, totals=totals, items=records
        )
        sent = DigestedFrame(made, frame_digest(made))
        answered = await self._apply(agent, sent)
        self._stands[agent, instance] = since + len(of)
        self._newest[agent, instance] = sent
        return answered

    async def _again(self, agent: tuple[str, str], instance: str) -> object:
        sent = self._newest.get((agent, instance))
        return None if sent is None else await self._apply(agent, sent)

    async def _beyond(self, agent: tuple[str, str], instance: str) -> object:
        since = self._stands.get((agent, instance), 0) + 3
        return await self._apply(agent, DigestedFrame(frame(since, since + 1), "beyond"))

    async def _apply(self, agent: tuple[str, str], sent: DigestedFrame) -> object:
        return await self._store.apply_frames(self._id(agent), [sent], NOW, 100)

    async def _beat(self, agent: tuple[str, str], instance: str, tokens: int) -> object:
        told = heartbeat(snapshot(instance, tokens))
        await self._store.record_heartbeat(self._id(agent), told, NOW)
        return await self._store.heartbeats(self._id(agent)), await self._store.agents()

    async def _settle(self, until: int) -> object:
        return await self._store.settle_tails(until - until % 900_000, 10, NOW)

    async def _close(self, month: str) -> object:
        period = Period(month, "Asia/Kathmandu", month_span(month, ZONE))
        # By a clock that is ahead of the others': a period ends for each of them at another time.
        closed = await self._store.close_period(period, max(period.span.end, NOW))
        return closed.period, closed.last_item

    async def _reprice(self, asked: UsageFilter) -> object:
        return await self._store.reprice(asked, NOW)

    async def _ask(self, asked: UsageFilter) -> object:
        store = self._store
        page = await store.calls(asked, 4)
        rest = await store.calls(asked, 4, after=page.calls[-1].position) if page.calls else None
        statement = await store.statement(month_span("2026-09", ZONE), NOW)
        return (
            *(await store.sums(asked), await store.days(asked, ZONE), page, rest),
            *(statement.usage, await store.calls(asked, 3, 2)),
            await store.calls(UsageFilter(asked.span, user="ann"), 9),
            [await store.durable(self._id(agent), INSTANCES) for agent in self._stands_of()],
        )

    def _stands_of(self) -> list[tuple[str, str]]:
        return sorted({agent for agent, _ in self._stands})  # type: ignore[misc]

    @staticmethod
    def _registration(agent: tuple[str, str]) -> Any:
        name, namespace = agent
        key = f"{NAMES.index(name)}{NAMESPACES.index(namespace)}".zfill(32)
        return registration(name, namespace, key_id=key, expires_at=NOW + 10**9)

    def _id(self, agent: tuple[str, str]) -> str:
        return str(self._registration(agent).agent_id)


@pytest.fixture(scope="module")
def pairs(
    postgresql_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], tuple[str, str]]]:
    """Makes a file and a place on a server."""
    with schemas(postgresql_server) as make:
        yield lambda: (str(tmp_path_factory.mktemp("file") / "usage.db"), make())


@contextmanager
def opened(database: str) -> Iterator[SqlStore]:
    with closing(open_store(database, book=BOOK)) as store:
        yield store


_COUNTS = ", ".join(COMPONENTS)
_SUMS = f"items, {_COUNTS}, milli, pico, priced, estimated"
_OF = "JOIN accounts USING (account) JOIN agents USING (agent) JOIN series USING (series) "
_SUM = (
    f"SELECT start, agent_id, team, series.model, catalogue, reason, price_id, {_SUMS} "
    f"FROM {{}} {_OF} JOIN prices USING (price) ORDER BY 1, 2, 3, 4, 5, 6, 7"
)
_INSTANCE = "JOIN instances USING (instance) JOIN agents ON agents.agent = instances.agent"

HELD = (
    "SELECT item, agent_id, accounts.team, instance_id, series.model, catalogue, reason, price_id, "
    "card, kind, corrects, first_seq, last_seq, at, claimed_at, received_at, status, coarse, "
    f"correction, requests, {_COUNTS}, milli, pico, priced, items.estimated, user_id, "
    f"item_details.team FROM items {_OF} JOIN prices USING (price) JOIN instances USING (instance) "
    "LEFT JOIN item_details USING (item) ORDER BY item",
    _SUM.format("bucket_sums"),
    _SUM.format("day_sums"),
    "SELECT agent_id, instance_id, observer, seq, final, newest_since, newest_last, newest_digest, "
    "conflicts, rolled_back_at FROM instances JOIN agents USING (agent) ORDER BY 1, 2",
    f"SELECT agent_id, instance_id, path, {_COUNTS} FROM instance_totals {_INSTANCE} "
    "ORDER BY 1, 2, 3",
    f"SELECT agent_id, instance_id, model, {_COUNTS} FROM instance_cells {_INSTANCE} "
    "JOIN series USING (series) ORDER BY 1, 2, 3",
    f"SELECT agent_id, instance_id, bucket, {_COUNTS} FROM tails {_INSTANCE} WHERE series = 0 "
    "ORDER BY 1, 2, 3",
    f"SELECT agent_id, instance_id, bucket, {_COUNTS} FROM tail_marks {_INSTANCE} "
    "WHERE series = 0 ORDER BY 1, 2, 3",
    "SELECT batch, first_item, last_item, at, closes IS NULL FROM batches ORDER BY batch",
    "SELECT end_at, start_at, name, zone, last_item FROM periods ORDER BY end_at",
    "SELECT agent_id, namespace, name, revoked_at FROM agents ORDER BY agent_id",
    "SELECT key_id, agent_id, expires_at FROM api_keys JOIN agents USING (agent) ORDER BY key_id",
)
"""Everything that is held, by names: numbers differ, and chance is in salts and hashes."""


@settings(max_examples=20)
@given(program=programs)
def test_a_file_and_a_server_answer_the_same_and_hold_the_same(
    pairs: Callable[[], tuple[str, str]], program: list[Step]
) -> None:
    async def check() -> None:
        of_file, of_server = pairs()
        with opened(of_file) as file, opened(of_server) as server:
            first, second = Told(file), Told(server)
            for step in (*(Step("register", (agent,)) for agent in KNOWN), *program):
                assert await first.take(step) == await second.take(step), step
        for query in HELD:
            assert rows(of_file, query) == rows(of_server, query)
        for database in (of_file, of_server):
            assert verify_database(database).finding is None

    asyncio.run(check())
