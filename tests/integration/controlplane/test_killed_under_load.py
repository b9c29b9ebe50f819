"""SIGKILL at any moment, before a commit and after it: nothing is lost, nothing counted twice."""

from __future__ import annotations

import time
from random import Random

import pytest

from agentspec_usage.store.opening import verify_database
from tests.integration.controlplane.database import instance_in, stored_of
from tests.integration.controlplane.processes import ControlPlane
from tests.integration.controlplane.senders import Sender, flush, sending

KILLS = 5


@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"seed {seed}") for seed in (1, 2)])
def test_totals_equal_the_senders_own_after_the_control_plane_was_killed_again_and_again(
    plane: ControlPlane, seed: int
) -> None:
    random = Random(seed)
    keys = [plane.register(f"agent-{number}") for number in range(3)]
    senders = [
        Sender(plane.url, key, seed * 100 + number) for number, key in enumerate([*keys, keys[0]])
    ]
    with sending(senders):
        for _ in range(KILLS):
            time.sleep(random.uniform(0.05, 0.5))
            plane.kill()
            plane.start()
        time.sleep(0.2)
    flush(senders)
    assert plane.terminate() == 0
    assert verify_database(str(plane.database)).finding is None
    for sender in senders:
        stored = instance_in(plane.database, sender.instance_id)
        assert stored.items == stored.applied == stored.reported == sender.truth
        assert stored.records == stored.distinct_records == stored.seq == sender.outbox.last
        assert stored.final
        assert not stored.rolled_back
        assert not stored.conflicts
    assert any(0 in sender.answers for sender in senders), "no request was under way when it died"
    assert [line for line in plane.lines() if line["level"] in ("error", "critical")] == []


def test_what_was_acknowledged_is_there_after_a_kill(plane: ControlPlane) -> None:
    sender = Sender(plane.url, plane.register("agent"), 7)
    for _ in range(20):
        sender.call(50)
        sender.step()
    acknowledged = sender.outbox.durable
    plane.kill()
    stored = stored_of(plane.database, sender.instance_id)
    assert stored.seq == stored.records == acknowledged == 1000
    sender.close()
