"""The newest heartbeat of each instance, and what it reports beyond what was delivered."""

from __future__ import annotations

from typing import Any

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.snapshot import Observer, UsageReading, UsageSnapshot
from agentspec_usage.store.sql.heartbeats import MAX_HEARTBEATS
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.wire.heartbeat import HealthPhase, Heartbeat
from tests.unit.store.values import INSTANCE, NOW, OTHER_INSTANCE, apply, frame, register, rows

REPORTED = (
    "SELECT instance_id, input, calls FROM instance_totals JOIN instances USING (instance) "
    "WHERE path = 'reported' ORDER BY instance"
)


def snapshot(instance_id: str | None = INSTANCE, input: int = 10, **changes: Any) -> UsageSnapshot:  # noqa: A002
    totals = TokenCounts(input=input, calls=1)
    return UsageSnapshot(totals, instance_id=instance_id, observer=Observer.SDK, **changes)


def heartbeat(*snapshots: UsageSnapshot, **changes: Any) -> Heartbeat:
    values: dict[str, Any] = {
        "phase": HealthPhase.HEALTHY,
        "score": 91,
        "violations": 0,
        "health": {"status": "healthy"},
        "gap": {"score": 91},
        "usage": UsageReading(snapshots) if snapshots else None,
        **changes,
    }
    return Heartbeat(**values)


async def test_an_agent_shows_what_its_newest_heartbeat_said(store: SqlStore) -> None:
    agent = await register(store)
    (before,) = await store.agents()
    assert (before.phase, before.score, before.last_seen) == (HealthPhase.UNKNOWN, None, None)
    await store.record_heartbeat(agent.agent_id, heartbeat(snapshot()), NOW)
    degraded = heartbeat(snapshot(OTHER_INSTANCE), phase=HealthPhase.DEGRADED, score=50)
    await store.record_heartbeat(agent.agent_id, degraded, NOW + 1)
    (after,) = await store.agents()
    assert (after.phase, after.score, after.last_seen) == (HealthPhase.DEGRADED, 50, NOW + 1)


async def test_documents_are_kept_as_they_came(store: SqlStore) -> None:
    agent = await register(store)
    health = {"status": "healthy", "checks": [{"id": "x", "n": 1.5}]}
    await store.record_heartbeat(
        agent.agent_id, heartbeat(health=health, gap={}, proof={"p": [1]}), NOW
    )
    (kept,) = await store.heartbeats(agent.agent_id)
    assert kept.health == '{"status":"healthy","checks":[{"id":"x","n":1.5}]}'
    assert (kept.gap, kept.proof, kept.usage) == ("{}", '{"p":[1]}', None)


async def test_each_instance_has_its_newest_and_the_newest_comes_first(store: SqlStore) -> None:
    agent = await register(store)
    for at, instance_id in ((0, INSTANCE), (1, OTHER_INSTANCE), (2, INSTANCE)):
        await store.record_heartbeat(agent.agent_id, heartbeat(snapshot(instance_id)), NOW + at)
    kept = await store.heartbeats(agent.agent_id)
    assert [(one.instance_id, one.received_at) for one in kept] == [
        (INSTANCE, NOW + 2),
        (OTHER_INSTANCE, NOW + 1),
    ]


async def test_instances_without_end_do_not_grow_the_store(store: SqlStore) -> None:
    agent = await register(store)
    for number in range(MAX_HEARTBEATS + 6):
        beat = heartbeat(snapshot(f"{number:032x}"))
        await store.record_heartbeat(agent.agent_id, beat, NOW + number)
    kept = await store.heartbeats(agent.agent_id)
    assert len(kept) == MAX_HEARTBEATS
    assert kept[-1].received_at == NOW + 6


async def test_totals_that_no_frame_brought_are_reported(store: SqlStore, database: str) -> None:
    agent = await register(store)
    await apply(store, agent, frame(0, 1))
    await store.record_heartbeat(agent.agent_id, heartbeat(snapshot(input=700)), NOW)
    assert rows(database, REPORTED) == [(INSTANCE, 700, 1)]
    assert await store.durable(agent.agent_id, [INSTANCE]) == {INSTANCE: 1}


async def test_what_was_reported_never_falls(store: SqlStore, database: str) -> None:
    agent = await register(store)
    for told in (700, 300):
        await store.record_heartbeat(agent.agent_id, heartbeat(snapshot(input=told)), NOW)
    assert rows(database, REPORTED) == [(INSTANCE, 700, 1)]


async def test_a_snapshot_that_travels_through_a_sidecar_reports_nothing_here(
    store: SqlStore, database: str
) -> None:
    agent = await register(store)
    await store.record_heartbeat(agent.agent_id, heartbeat(snapshot(via="sidecar")), NOW)
    assert rows(database, REPORTED) == []


async def test_a_window_of_agentspecs_own_dialect_is_kept_and_makes_no_instance(
    store: SqlStore, database: str
) -> None:
    agent = await register(store)
    await store.record_heartbeat(agent.agent_id, heartbeat(snapshot(None)), NOW)
    (kept,) = await store.heartbeats(agent.agent_id)
    assert kept.instance_id == ""
    assert kept.usage is not None
    assert rows(database, "SELECT count(*) FROM instances") == [(0,)]


async def test_several_processes_in_one_heartbeat_report_each_for_itself(
    store: SqlStore, database: str
) -> None:
    agent = await register(store)
    both = heartbeat(snapshot(INSTANCE, 5), snapshot(OTHER_INSTANCE, 6))
    await store.record_heartbeat(agent.agent_id, both, NOW)
    assert rows(database, REPORTED) == [(INSTANCE, 5, 1), (OTHER_INSTANCE, 6, 1)]
