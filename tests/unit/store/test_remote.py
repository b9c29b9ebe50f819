"""What is known of agents that push: their lives, what they told, and by which models."""

from __future__ import annotations

from typing import Any

from agentspec_usage.metering.counts import ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.models import ModelKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot
from agentspec_usage.store.remote import RemoteAgent
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.values import Agent
from agentspec_usage.wire.heartbeat import HealthPhase, decode_heartbeat
from agentspec_usage.wire.heartbeat_encoding import encode_heartbeat
from tests.unit.store.values import GPT, INSTANCE, NOW, apply, frame, register, registration

REMOTE = "remote"
MINUTE = 60_000
OTHER = "2" * 32


async def beat(
    store: SqlStore,
    agent: Agent,
    counts: TokenCounts,
    *,
    instance: str = INSTANCE,
    at: int = NOW,
    status: str = "healthy",
    **flags: Any,
) -> None:
    snapshot = UsageSnapshot(
        counts, (SeriesRow(GPT, counts),), instance_id=instance, observer=Observer.SDK, **flags
    )
    body = encode_heartbeat({"status": status}, {"score": 50, "issues": ["a", "b"]}, [snapshot])
    await store.record_heartbeat(agent.agent_id, decode_heartbeat(body), at)


async def only(store: SqlStore, since: int = NOW) -> RemoteAgent:
    (found,) = await store.remote_agents(REMOTE, since)
    return found


async def test_an_agent_is_known_by_its_newest_heartbeat(store: SqlStore) -> None:
    agent = await register(store, "research", REMOTE)
    await register(store, "never-heard", REMOTE)
    await beat(store, await register(store, "web", "team-a"), ZERO)
    await beat(store, agent, ZERO)
    await beat(store, agent, ZERO, instance=OTHER, at=NOW + MINUTE, status="degraded")
    found = await only(store)
    assert (found.namespace, found.name, found.agent_id) == (REMOTE, "research", agent.agent_id)
    assert (found.phase, found.score, found.violations) == (HealthPhase.DEGRADED, 50, 2)
    assert found.last_seen == NOW + MINUTE
    assert found.began_at == NOW


async def test_its_lives_are_heard_silent_or_ended(store: SqlStore) -> None:
    agent = await register(store, "research", REMOTE)
    await beat(store, agent, ZERO, instance="1" * 32)
    await beat(store, agent, ZERO, instance="2" * 32, at=NOW + MINUTE)
    await beat(store, agent, ZERO, instance="3" * 32, final=True)
    found = await only(store, since=NOW + MINUTE)
    assert (found.heard, found.silent, found.ended) == (1, 1, 1)


async def test_a_process_that_ends_by_its_last_frame_has_ended(store: SqlStore) -> None:
    agent = await register(store, "research", REMOTE)
    await beat(store, agent, frame(0, 3).totals)
    await apply(store, agent, frame(0, 3, final=True))
    found = await only(store, since=NOW + MINUTE)
    assert (found.heard, found.silent, found.ended) == (0, 0, 1)


async def test_what_was_told_counts_once_whether_it_was_delivered_or_not(store: SqlStore) -> None:
    agent = await register(store, "research", REMOTE)
    first = frame(0, 3).totals
    told = [frame(0, 5).totals, TokenCounts(input=7, calls=1)]
    await apply(store, agent, frame(0, 3))
    assert (await only_told(store, agent))[1] == {ModelKey("openai", "gpt"): first}
    await beat(store, agent, told[0])
    await beat(store, agent, told[1], instance=OTHER)
    totals, models = await only_told(store, agent)
    assert totals == sum_counts(told)
    assert models == {ModelKey("openai", "gpt"): sum_counts(told)}
    await apply(store, agent, frame(3, 5))
    assert await only_told(store, agent) == (totals, models)


async def drain(store: SqlStore, agent: Agent, start: int, tokens: int) -> None:
    """A window of AgentSpec's own dialect, which its sender drains when it was taken."""
    counts = TokenCounts(input=tokens, calls=1)
    snapshot = UsageSnapshot(counts, (SeriesRow(GPT, counts),), window_started_at=start)
    body = encode_heartbeat({"status": "healthy"}, {"score": 50}, [snapshot])
    await store.record_heartbeat(agent.agent_id, decode_heartbeat(body), NOW)


async def test_windows_of_a_sender_without_instances_add_up_however_often_they_come(
    store: SqlStore,
) -> None:
    agent = await store.register(registration("research", REMOTE, runtime="docker"), NOW)
    for start, tokens in ((NOW, 5), (NOW, 9), (NOW, 7), (NOW + MINUTE, 3), (NOW, 9)):
        await drain(store, agent, start, tokens)
    found = await only(store)
    assert found.totals == TokenCounts(input=12, calls=2)
    assert (found.legacy, found.heard) == (True, 1)
    assert await only_told(store, agent) == (
        found.totals,
        {ModelKey("openai", "gpt"): found.totals},
    )


async def test_windows_of_an_agent_in_the_cluster_are_read_there_and_not_counted_here(
    store: SqlStore,
) -> None:
    agent = await store.register(registration("research", REMOTE, runtime="k8s"), NOW)
    await drain(store, agent, NOW, 5)
    assert (await only(store)).totals == ZERO


async def test_an_agent_of_which_nothing_is_known_by_model_has_no_models(store: SqlStore) -> None:
    agent = await register(store, "research", REMOTE)
    assert await store.remote_models([agent.agent_id]) == {agent.agent_id: {}}
    assert await store.remote_models([]) == {}


async def only_told(
    store: SqlStore, agent: Agent
) -> tuple[TokenCounts, dict[ModelKey, TokenCounts]]:
    found = await store.remote_agents(REMOTE, NOW)
    models = await store.remote_models([agent.agent_id])
    return found[0].totals if found else ZERO, dict(models[agent.agent_id])
