"""An agent that uses the SDK, as it is shipped, against a control plane that fails as they do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.controlplane.agents import MeteredAgent, Said, metered_agent
from tests.integration.controlplane.backups import back_up, restore
from tests.integration.controlplane.database import Stored, seq_of, stored_of
from tests.integration.controlplane.processes import ControlPlane
from tests.integration.controlplane.waiting import until
from tests.integration.sdk.provider_server import ProviderServer, provider_server


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderServer]:
    with provider_server() as server:
        yield server


@pytest.fixture
def agent(plane: ControlPlane, provider: ProviderServer) -> Iterator[MeteredAgent]:
    with metered_agent(plane.url, plane.register("agent"), provider.url) as running:
        yield running


def stored_all(plane: ControlPlane, said: Said) -> Stored:
    """What is stored, as soon as it is all that the agent had counted, or more."""
    until(
        lambda: seq_of(plane.database, said.instance_id) >= said.seq,
        "everything that was counted is stored",
    )
    return stored_of(plane.database, said.instance_id)


def test_every_call_is_stored_once_though_the_control_plane_was_killed_again_and_again(
    plane: ControlPlane, agent: MeteredAgent
) -> None:
    agent.go()
    for _ in range(3):
        counted = agent.now()
        plane.kill()
        plane.start()
        stored_all(plane, counted)
    plane.kill()
    agent.rest()
    plane.start()
    said = agent.end()
    assert said.durable
    assert plane.terminate() == 0
    stored = stored_of(plane.database, said.instance_id)
    assert stored.items == stored.applied == stored.reported == said.counted == said.truth
    assert stored.records == stored.distinct_records == stored.seq == said.seq
    assert stored.final
    assert not stored.rolled_back
    assert not stored.conflicts


def test_a_heartbeat_tells_a_resting_agent_that_a_backup_was_restored(
    plane: ControlPlane, agent: MeteredAgent, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    agent.go()
    before = agent.rest()
    stored_all(plane, before)
    back_up(plane.database, backup)
    agent.go()
    after = agent.rest()
    stored_all(plane, after)
    assert plane.terminate() == 0
    restore(backup, plane.database)
    plane.start()
    # It calls no model and has nothing to send: its next heartbeat alone can tell it.
    stored = stored_all(plane, after)
    assert stored.items == stored.reported == after.truth
    assert stored.rolled_back
    assert stored.lost.calls == after.seq - before.seq
    assert agent.end().durable
    assert plane.terminate() == 0
    assert stored_of(plane.database, after.instance_id).final
