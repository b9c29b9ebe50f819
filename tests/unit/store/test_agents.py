"""Agents and their keys: who may report, and for how long."""

from __future__ import annotations

import pytest

from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.values import NewKey
from tests.unit.store.values import NOW, apply, frame, register, registration, rows

OLD, NEW, NEWEST = "1" * 32, "2" * 32, "3" * 32


async def alive(store: SqlStore, now: int = NOW) -> set[str]:
    keys = [await store.key(key_id, now) for key_id in (OLD, NEW, NEWEST)]
    return {key.key_id for key in keys if key is not None}


async def test_a_key_leads_to_its_agent(store: SqlStore) -> None:
    agent = await store.register(registration(key_id=OLD), NOW)
    key = await store.key(OLD, NOW)
    assert key is not None
    assert key.agent == agent
    assert key.digest == b"digest of " + OLD.encode()


async def test_registering_again_keeps_the_id_and_ends_the_old_key(store: SqlStore) -> None:
    first = await store.register(registration(key_id=OLD), NOW)
    again = await store.register(registration(key_id=NEW, runtime="docker"), NOW + 5)
    assert again.agent_id == first.agent_id
    assert (again.runtime, again.registered_at) == ("docker", NOW)
    assert await alive(store) == {NEW}


async def test_with_an_overlap_two_keys_live_and_never_three(store: SqlStore) -> None:
    await store.register(registration(key_id=OLD), NOW)
    await store.register(registration(key_id=NEW, old_key_until=NOW + 100), NOW + 1)
    assert await alive(store, NOW + 99) == {OLD, NEW}
    assert await alive(store, NOW + 100) == {NEW}
    await store.register(registration(key_id=NEWEST, old_key_until=NOW + 102), NOW + 2)
    assert await alive(store, NOW + 99) == {NEW, NEWEST}


async def test_an_overlap_prolongs_no_key(store: SqlStore) -> None:
    await store.register(registration(key_id=OLD, expires_at=NOW + 10), NOW)
    await store.register(registration(key_id=NEW, old_key_until=NOW + 100), NOW + 1)
    assert await alive(store, NOW + 10) == {NEW}


@pytest.mark.parametrize(
    ("now", "living"),
    [
        pytest.param(NOW + 9, {OLD}, id="a millisecond before it expires"),
        pytest.param(NOW + 10, set(), id="when it expires"),
    ],
)
async def test_a_key_ends_when_it_expires(store: SqlStore, now: int, living: set[str]) -> None:
    await store.register(registration(key_id=OLD, expires_at=NOW + 10), NOW)
    assert await alive(store, now) == living


async def test_a_revoked_agent_has_no_key_and_keeps_its_usage(
    store: SqlStore, database: str
) -> None:
    agent = await store.register(registration(key_id=OLD), NOW)
    await apply(store, agent, frame(0, 2))
    await store.revoke(agent.agent_id, NOW + 9)
    assert await alive(store) == set()
    assert rows(database, "SELECT count(*) FROM items") == [(2,)]
    (summary,) = await store.agents()
    assert summary.agent.revoked_at == NOW + 9


async def test_a_revoked_agent_can_be_registered_again_as_the_same(store: SqlStore) -> None:
    agent = await store.register(registration(key_id=OLD), NOW)
    await store.revoke(agent.agent_id, NOW)
    again = await store.register(registration(key_id=NEW), NOW)
    assert again.agent_id == agent.agent_id
    assert again.revoked_at is None
    assert await alive(store) == {NEW}


async def test_the_same_name_in_two_namespaces_is_two_agents(store: SqlStore) -> None:
    await register(store, "agent", "red")
    await register(store, "agent", "blue")
    await register(store, "other", "red")
    found = await store.agents_named("agent")
    assert [agent.namespace for agent in found] == ["blue", "red"]
    assert len({agent.agent_id for agent in found}) == 2


async def test_nothing_of_a_key_is_stored_but_its_id_and_its_digest(
    store: SqlStore, database: str
) -> None:
    await store.register(registration(key=NewKey(OLD, b"\x01" * 32, NOW + 10)), NOW)
    assert rows(database, "SELECT * FROM api_keys") == [(OLD, 1, b"\x01" * 32, NOW, NOW + 10)]
