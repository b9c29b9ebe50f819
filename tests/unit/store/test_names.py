"""A process that is known under two names of a namespace is charged once, to one of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import pytest

from agentspec_usage.metering.frame import BUCKET_MS
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.pricing.money import Money
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.periods import Period
from agentspec_usage.store.queries import AgentName, UsageFilter
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.wire.heartbeat import HealthPhase, Heartbeat
from agentspec_usage.wire.observed_encoding import Observation
from tests.unit.store.test_tail import MICRO, book, draw, used
from tests.unit.store.values import (
    GPT,
    INSTANCE,
    NOW,
    OTHER_INSTANCE,
    apply,
    edited,
    frame,
    record,
    registration,
    rows,
)

START = NOW - NOW % DAY_MS
ALWAYS = Span(0, START + 4000 * DAY_MS)


@pytest.fixture
def priced(database: str) -> Iterator[SqlStore]:
    opened = open_store(database, book=book("1"))
    yield opened
    opened.close()


def reading(tokens: int, instance_id: str | None = INSTANCE) -> UsageReading:
    series = (SeriesRow(GPT, used(tokens)),)
    observer = Observer.SDK if instance_id else Observer.LEGACY
    return UsageReading(
        (UsageSnapshot(used(tokens), series, instance_id=instance_id, observer=observer),)
    )


async def see(
    store: SqlStore,
    name: str,
    tokens: int,
    *,
    at: int = START,
    instance_id: str | None = INSTANCE,
    namespace: str = "team",
    container: str = "",
) -> None:
    read = reading(tokens, instance_id)
    await store.observe(
        [Observation(namespace, name, "pod", container, seen_at=at, reading=read)], draw, at
    )


async def beat(
    store: SqlStore,
    name: str,
    tokens: int,
    *,
    at: int = START,
    instance_id: str = INSTANCE,
    namespace: str = "team",
    runtime: str = "k8s",
) -> None:
    agent = await store.register(registration(name, namespace, runtime=runtime), NOW)
    usage = reading(tokens, instance_id)
    told = Heartbeat(HealthPhase.HEALTHY, None, 0, {}, {}, usage=usage)
    await store.record_heartbeat(agent.agent_id, told, at)


async def deliver(
    store: SqlStore,
    name: str,
    since: int,
    last: int,
    *,
    at: int = START,
    now: int = START,
    instance_id: str = INSTANCE,
    namespace: str = "team",
    runtime: str = "k8s",
) -> None:
    agent = await store.register(registration(name, namespace, runtime=runtime), NOW)
    items = [record(seq, at=at, counts=used(1)) for seq in range(since + 1, last + 1)]
    one = frame(since, last, *items, totals=used(last), instance_id=instance_id)
    applied = await apply(store, agent, one, now=now)
    assert applied.answers.durable == {instance_id: last}


async def charged(store: SqlStore, name: str, namespace: str = "team") -> tuple[int, int]:
    """Tokens that are charged to the agent of this name, and those of its tail."""
    owner = AgentName(namespace, name)
    found = (await store.agent_usage([owner], ALWAYS, ALWAYS, START)).get(owner)
    if found is None:
        return 0, 0
    return sum(cost.tokens for cost in found.ever.values()) - found.tail.total, found.tail.total


async def test_whatever_the_order_a_process_is_charged_once(
    priced: SqlStore, database: str
) -> None:
    """I10, I13."""
    steps = ("observed", "heartbeat", "frames", "settle", "close")
    for day, order in enumerate(permutations(steps)):
        span = Span(START + day * DAY_MS, START + (day + 1) * DAY_MS)
        namespace, instance_id = f"team-{day}", f"{day + 1:032x}"
        furthest = 0
        for step in order:
            at = span.start + BUCKET_MS
            if step == "observed":
                await see(*(priced, "bot", 5), at=at, instance_id=instance_id, namespace=namespace)
                furthest = max(furthest, 5)
            elif step == "heartbeat":
                await beat(*(priced, "bot", 6), at=at, instance_id=instance_id, namespace=namespace)
                furthest = max(furthest, 6)
            elif step == "frames":
                await deliver(
                    *(priced, "agent", 0, 2),
                    at=at,
                    now=span.end,
                    instance_id=instance_id,
                    namespace=namespace,
                )
                furthest = max(furthest, 2)
            elif step == "settle":
                await priced.settle_tails(span.end, 16, span.end)
            else:
                await priced.close_period(Period(f"day {day}", "UTC", span), span.end)
            of = [await charged(priced, name, namespace) for name in ("agent", "bot")]
            assert sum(map(sum, of)) == furthest, order
            if "frames" in order[: order.index(step) + 1]:
                assert of[1] == (0, 0), order
        await deliver(
            *(priced, "agent", 2, 8),
            at=span.start,
            now=span.end,
            instance_id=instance_id,
            namespace=namespace,
        )
        assert await charged(priced, "agent", namespace) == (8, 0), order
        assert await charged(priced, "bot", namespace) == (0, 0), order
    assert verify_database(database).finding is None


async def test_a_process_whose_object_is_renamed_stays_charged_as_it_was_known_first(
    priced: SqlStore,
) -> None:
    await see(priced, "old", 5)
    await priced.settle_tails(START + DAY_MS, 16, START + DAY_MS)
    await see(priced, "new", 9)
    await see(priced, "new", 3, instance_id=OTHER_INSTANCE)
    assert await charged(priced, "old") == (5, 4)
    assert await charged(priced, "new") == (0, 3)


async def test_a_source_without_instances_is_told_by_its_container_under_two_names(
    priced: SqlStore,
) -> None:
    for tokens, name, container in ((5, "old", "1"), (7, "new", "1"), (4, "new", "2")):
        await see(priced, name, tokens, instance_id=None, container=container)
    assert await charged(priced, "old") == (0, 7)
    assert await charged(priced, "new") == (0, 4)


async def test_two_names_in_one_hand_in_make_one_process(priced: SqlStore) -> None:
    both = [
        Observation("team", name, "pod", seen_at=START, reading=reading(tokens))
        for name, tokens in (("b", 4), ("a", 6))
    ]
    await priced.observe(both, draw, START)
    assert sorted([await charged(priced, name) for name in ("a", "b")]) == [(0, 0), (0, 6)]


async def test_what_another_namespace_says_of_the_same_id_changes_nothing(
    priced: SqlStore,
) -> None:
    """I14."""
    await see(priced, "bot", 5)
    await priced.settle_tails(START + DAY_MS, 16, START + DAY_MS)
    await see(priced, "bot", 6)
    await beat(priced, "bot", 90, namespace="other")
    await see(priced, "spy", 80, namespace="other")
    await deliver(priced, "agent", 0, 7, namespace="other")
    assert await charged(priced, "bot") == (5, 1)
    assert await charged(priced, "agent", "other") == (7, 83)
    await deliver(priced, "agent", 0, 6)
    assert await charged(priced, "agent") == (6, 0)
    assert await charged(priced, "bot") == (0, 0)
    assert await charged(priced, "agent", "other") == (7, 83)


async def test_no_credential_changes_what_an_agent_outside_of_the_cluster_is_charged(
    priced: SqlStore,
) -> None:
    """I14: such agents share a namespace, and are not one tenant by that."""
    await beat(priced, "laptop", 5, runtime="local")
    await beat(priced, "stranger", 900, runtime="docker")
    await deliver(priced, "thief", 0, 2, runtime="local")
    await beat(priced, "pod", 70)
    assert await charged(priced, "laptop") == (0, 5)
    assert await charged(priced, "stranger") == (0, 900)
    assert await charged(priced, "thief") == (2, 0)
    assert await charged(priced, "pod") == (0, 70)


async def test_a_pod_that_pushes_as_an_agent_of_another_runtime_is_charged_once(
    priced: SqlStore,
) -> None:
    await see(priced, "bot", 5)
    await deliver(priced, "laptop", 0, 2, runtime="local")
    await see(priced, "bot", 6)
    assert await charged(priced, "laptop") == (2, 4)
    assert await charged(priced, "bot") == (0, 0)


async def test_an_agent_does_not_speak_for_one_outside_of_the_cluster_that_took_its_process_over(
    priced: SqlStore, database: str
) -> None:
    await see(priced, "bot", 5)
    await deliver(priced, "laptop", 0, 2, runtime="local")
    await beat(priced, "bot", 6)
    assert await charged(priced, "laptop") == (2, 3)
    assert await charged(priced, "bot") == (0, 6)
    assert verify_database(database).finding is None


async def test_two_credentials_are_charged_what_each_delivers_and_no_call_is_lost(
    priced: SqlStore, database: str
) -> None:
    await deliver(priced, "agent", 0, 4)
    await see(priced, "bot", 6)
    await deliver(priced, "renamed", 0, 5)
    assert await charged(priced, "agent") == (4, 0)
    assert await charged(priced, "renamed") == (5, 1)
    await deliver(priced, "agent", 4, 6)
    await deliver(priced, "renamed", 5, 6)
    assert await charged(priced, "agent") == (6, 0)
    assert await charged(priced, "renamed") == (6, 0)
    assert verify_database(database).finding is None


async def test_an_agent_whose_pods_are_charged_as_another_says_so_until_an_hour_after_the_last(
    priced: SqlStore,
) -> None:
    async def shown(name: str) -> str:
        owner = AgentName("team", name)
        return (await priced.agent_usage([owner], ALWAYS, ALWAYS, START))[owner].charged_as

    await see(priced, "bot", 5)
    assert await shown("bot") == ""
    await deliver(priced, "research", 0, 2)
    await see(priced, "bot", 5)
    assert [await shown(name) for name in ("bot", "research")] == ["research", ""]
    minutes = 60_000
    await see(priced, "bot", 5, at=START + 50 * minutes)
    await see(priced, "bot", 1, at=START + 100 * minutes, instance_id=OTHER_INSTANCE)
    assert await shown("bot") == "research"
    await see(priced, "bot", 1, at=START + 111 * minutes, instance_id=OTHER_INSTANCE)
    assert await shown("bot") == ""


async def test_estimates_move_at_the_prices_that_they_have(database: str) -> None:
    """I11."""
    first = open_store(database, book=book("0.333333"))
    try:
        await see(first, "bot", 7, at=START - DAY_MS)
        assert await first.settle_tails(START, 16, START) == 1
    finally:
        first.close()
    dearer = open_store(database, book=book("3"))
    try:
        await dearer.reprice(UsageFilter(ALWAYS), START)
        await deliver(dearer, "agent", 0, 2)
        everything = (await dearer.sums(UsageFilter(ALWAYS))).total
        assert (everything.counts, everything.estimated) == (used(7), 5)
        assert everything.costs == (Money(7 * 3 * MICRO),)
        standing = await dearer.sums(UsageFilter(Span(START - DAY_MS, START)))
        assert standing.total.costs == (Money(5 * 3 * MICRO),)
        assert await charged(dearer, "agent") == (7, 0)
        of_kinds = "SELECT kind, sum(calls) FROM items GROUP BY kind ORDER BY kind"
        assert [(kind, int(calls)) for kind, calls in rows(database, of_kinds)] == [
            ("charge", 7),
            ("estimate", 12),
            ("record", 2),
            ("reversal", -14),
        ]
    finally:
        dearer.close()
    assert verify_database(database).finding is None


async def test_an_estimate_of_a_closed_month_moves_in_the_open_one(
    priced: SqlStore, database: str
) -> None:
    """I13."""
    span = Span(START - DAY_MS, START)
    await see(priced, "bot", 5, at=START - DAY_MS)
    await priced.close_period(Period("yesterday", "UTC", span), START)
    await deliver(priced, "agent", 0, 2, at=START - DAY_MS)
    of_each = (
        "SELECT name, kind, sum(items.calls) FROM items JOIN accounts USING (account) "
        "JOIN agents USING (agent) WHERE at {} AND correction = {} "
        "GROUP BY name, kind ORDER BY name, kind"
    )
    before = rows(database, of_each.format(f"< {START}", 0))
    late = rows(database, of_each.format(f"= {START}", 1))
    assert [(name, kind, int(calls)) for name, kind, calls in before] == [("bot", "estimate", 5)]
    assert [(name, kind, int(calls)) for name, kind, calls in late] == [
        ("agent", "estimate", 3),
        ("agent", "record", 2),
        ("bot", "reversal", -5),
    ]
    assert verify_database(database).finding is None


async def test_a_tail_that_moves_keeps_the_times_at_which_it_was_seen(
    priced: SqlStore, database: str
) -> None:
    for tokens in (3, 5, 9):
        await see(priced, "bot", tokens, at=START + tokens * BUCKET_MS)
    await deliver(priced, "agent", 0, 4, at=START)
    await priced.settle_tails(START + DAY_MS, 16, START + DAY_MS)
    of_kind = "SELECT at, calls FROM items WHERE kind = 'estimate' ORDER BY at"
    assert rows(database, of_kind) == [
        (START + 5 * BUCKET_MS, 1),
        (START + 9 * BUCKET_MS, 4),
    ]


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        pytest.param(
            "UPDATE instances SET holds_seen = 0 WHERE instance = 2",
            "instances: instance 2",
            id="a tail is nobody's",
        ),
        pytest.param(
            "UPDATE instance_totals SET calls = 4 WHERE instance = 1 AND path = 'reported'",
            "instances: instance 1",
            id="what was taken over is reported again",
        ),
    ],
)
async def test_verify_notices_what_would_be_charged_under_both_names(
    database: str, statement: str, finding: str
) -> None:
    store = open_store(database)
    await see(store, "bot", 5)
    await deliver(store, "agent", 0, 2)
    store.close()
    assert verify_database(database).finding is None
    with edited(database) as connection:
        connection.execute(statement)
    found = verify_database(database).finding
    assert found is not None
    assert found.where == finding
