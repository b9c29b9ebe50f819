"""Agents that push become objects: made when heard, written when they say something new."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from agentspec_usage.controlplane.remote_objects import RemoteObjects
from agentspec_usage.kube.status_write import WriteResult
from agentspec_usage.runtime.ids import draw_128_bits
from agentspec_usage.status.charges import NO_CHARGES, Charges
from agentspec_usage.store.sqlite.store import SqliteStore
from agentspec_usage.store.values import NewKey, Registration
from agentspec_usage.wire.heartbeat import decode_heartbeat
from agentspec_usage.wire.observed_answer import LedgerSaid
from tests.fakes.hand_clock import HandClock
from tests.fakes.remote_cluster import RemoteCluster
from tests.unit.controlplane.planes import beat
from tests.unit.store.values import INSTANCE, NOW, register

NAMESPACE = "agentspec-remote"
REMOTE = {"source": "control-plane"}


def registered(name: str) -> Registration:
    digest = sha256(name.encode()).digest()
    key = NewKey(digest.hex()[:32], digest, NOW + 1_000_000)
    return Registration(f"agt_{digest.hex()[:32]}", NAMESPACE, name, "docker", key, NOW)


class Remote:
    """A store, a cluster, and what writes the one's agents into the other."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.cluster = RemoteCluster()
        self.clock = HandClock()
        self.asked: list[tuple[str, ...]] = []
        self.objects = RemoteObjects(
            store,
            self._told,
            self.cluster,
            self.clock,
            draw_128_bits,
            namespace=NAMESPACE,
            silence=120.0,
            per_second=1_000.0,
        )

    async def hear(self, name: str, tokens: int, instance: str = INSTANCE, **flags: bool) -> None:
        agent = await self.store.register(registered(name), NOW)
        heartbeat = decode_heartbeat(beat(instance, tokens, **flags))
        await self.store.record_heartbeat(agent.agent_id, heartbeat, self.clock.now())

    async def round(self, after: float = 30.0) -> list[str]:
        """The requests of the next round, which comes ``after`` so many seconds."""
        self.clock.pass_seconds(after)
        before = len(self.cluster.requests)
        await self.objects.round()
        return self.cluster.requests[before:]

    async def _told(
        self, names: Collection[str]
    ) -> tuple[Mapping[str, Charges], LedgerSaid | None]:
        self.asked.append(tuple(names))
        return dict.fromkeys(names, NO_CHARGES), None


@pytest.fixture
async def remote(tmp_path: Path) -> AsyncIterator[Remote]:
    store = SqliteStore(tmp_path / "usage.db")
    yield Remote(store)
    store.close()


async def test_the_first_heartbeat_makes_an_object_and_the_next_ones_its_numbers(
    remote: Remote,
) -> None:
    await remote.hear("research", 10)
    assert await remote.round() == ["LIST", "POST research", "PATCH research"]
    made = remote.cluster.objects["research"]
    assert made["spec"] == {"agentRef": {"name": "research"}, "source": "control-plane"}
    await remote.hear("research", 25)
    assert await remote.round() == ["PATCH research"]
    assert remote.cluster.tokens() == {"research": 25}


async def test_an_agent_that_says_nothing_new_is_looked_at_now_and_then_and_not_written(
    remote: Remote,
) -> None:
    await remote.hear("research", 10)
    await remote.round()
    requests = []
    for _ in range(12):
        await remote.hear("research", 10)
        requests += await remote.round()
    assert requests == ["LIST"]
    # Its day may have ended meanwhile: the store is asked for that, without anything new.
    assert remote.asked == [("research",), ("research",)]


async def test_an_agent_that_falls_silent_is_written_once(remote: Remote) -> None:
    await remote.hear("research", 10)
    await remote.round()
    assert await remote.round(after=121.0) == ["PATCH research"]
    assert remote.cluster.objects["research"]["status"]["phase"] == "Unknown"
    assert await remote.round() == []


async def test_all_lives_of_an_agent_are_summed_up(remote: Remote) -> None:
    await remote.hear("research", 10, "1" * 32, final=True)
    await remote.hear("research", 5, "2" * 32)
    await remote.round()
    assert remote.cluster.tokens() == {"research": 15}
    status = remote.cluster.objects["research"]["status"]
    assert status["usage"]["podsExpected"] == 1
    assert status["usage"]["completeness"] == "Exact"


async def test_agents_of_other_namespaces_are_the_operator_s(remote: Remote) -> None:
    agent = await register(remote.store, "web", "team-a")
    await remote.store.record_heartbeat(
        agent.agent_id, decode_heartbeat(beat()), remote.clock.now()
    )
    assert await remote.round() == ["LIST"]


async def test_an_object_that_was_deleted_comes_back_when_its_agent_speaks(remote: Remote) -> None:
    await remote.hear("research", 10)
    await remote.round()
    del remote.cluster.objects["research"]
    await remote.round(after=400.0)
    assert remote.cluster.objects == {}
    await remote.hear("research", 11)
    await remote.round()
    assert remote.cluster.tokens() == {"research": 11}


async def test_an_object_that_goes_while_it_is_written_is_made_again(remote: Remote) -> None:
    await remote.hear("research", 10)
    await remote.round()
    del remote.cluster.objects["research"]
    await remote.hear("research", 11)
    assert await remote.round() == ["PATCH research"]
    assert await remote.round() == ["POST research", "PATCH research"]


async def test_an_object_of_another_source_is_never_written(
    remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    remote.cluster.put("research", {"agentRef": {"name": "research"}})
    await remote.hear("research", 10)
    await remote.round()
    await remote.hear("research", 20)
    assert await remote.round() == []
    assert "status" not in remote.cluster.objects["research"]
    assert len(caplog.records) == 1


async def test_an_object_that_somebody_made_for_the_agent_is_used_whatever_its_name(
    remote: Remote,
) -> None:
    remote.cluster.put("our-researcher", {"agentRef": {"name": "research"}, **REMOTE})
    remote.cluster.put("a-second-one", {"agentRef": {"name": "research"}, **REMOTE})
    await remote.hear("research", 10)
    assert await remote.round() == ["LIST", "PATCH our-researcher"]


async def test_a_write_that_conflicts_is_computed_again_from_what_stands_there(
    remote: Remote,
) -> None:
    await remote.hear("research", 10)
    await remote.round()
    remote.cluster.edit(
        "research", spec={"agentRef": {"name": "research"}, "suspend": True, **REMOTE}
    )
    await remote.hear("research", 20)
    assert await remote.round() == ["PATCH research", "GET research"]
    assert await remote.round() == ["PATCH research"]
    assert remote.cluster.tokens() == {"research": 10}
    ready = remote.cluster.objects["research"]["status"]["conditions"][0]
    assert ready["reason"] == "Suspended"


async def test_a_status_that_was_edited_is_written_over_at_the_next_listing(
    remote: Remote,
) -> None:
    await remote.hear("research", 10)
    await remote.round()
    remote.cluster.edit("research", status={"phase": "Degraded"})
    assert await remote.round(after=400.0) == ["LIST", "PATCH research"]
    assert remote.cluster.tokens() == {"research": 10}


async def test_with_the_api_server_away_nothing_is_lost_and_it_is_said_once(
    remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    await remote.hear("research", 10)
    await remote.round()
    remote.cluster.away = True
    await remote.hear("research", 20)
    await remote.hear("writer", 5, "2" * 32)
    for _ in range(3):
        assert len(await remote.round()) == 1, "one try a round finds that nobody answers"
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    remote.cluster.away = False
    await remote.hear("writer", 5, "2" * 32)
    await remote.round()
    assert remote.cluster.tokens() == {"research": 20, "writer": 5}


async def test_an_api_server_that_has_too_much_to_do_is_left_alone_for_the_round(
    remote: Remote,
) -> None:
    for name in ("a", "b", "c"):
        await remote.hear(name, 10)
    remote.cluster.refusals = [WriteResult("throttled", None, 0.0)]
    assert await remote.round() == ["LIST", "POST a", "PATCH a"]
    await remote.round()
    assert remote.cluster.tokens() == {"a": 10, "b": 10, "c": 10}


async def test_a_status_that_is_refused_as_invalid_is_tried_again_when_it_is_another(
    remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    await remote.hear("research", 10)
    await remote.hear("writer", 10)
    remote.cluster.refusals = [WriteResult("invalid", None, None, "status.usage: too bad")]
    await remote.round()
    assert remote.cluster.tokens() == {"research": 0, "writer": 10}
    assert await remote.round() == []
    assert [record.levelname for record in caplog.records if record.levelname == "ERROR"]
    await remote.hear("research", 20)
    await remote.round()
    assert remote.cluster.tokens() == {"research": 20, "writer": 10}


async def test_many_agents_are_asked_about_in_few_questions(remote: Remote) -> None:
    for number in range(150):
        await remote.hear(f"agent-{number:03}", 1 + number)
    await remote.round()
    assert remote.cluster.tokens() == {f"agent-{n:03}": 1 + n for n in range(150)}
    assert [len(names) for names in remote.asked] == [100, 50]


async def test_an_object_that_is_not_admitted_keeps_no_other_from_being_shown(
    remote: Remote,
) -> None:
    for name in ("bad", "good"):
        await remote.hear(name, 5)
    remote.cluster.refused_names.add("bad")
    await remote.round()
    assert remote.cluster.tokens() == {"good": 5}
    assert "POST bad" not in await remote.round(), "not before the next listing"
    remote.cluster.refused_names.clear()
    remote.clock.pass_seconds(600)
    await remote.hear("bad", 5)
    await remote.round()
    assert remote.cluster.tokens() == {"bad": 5, "good": 5}
