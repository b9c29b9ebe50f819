"""SIGKILL at each step between a body's arrival and its answer: nothing lost, nothing twice."""

from __future__ import annotations

import pytest

from tests.integration.controlplane.database import stored_of
from tests.integration.controlplane.processes import ControlPlane
from tests.integration.controlplane.senders import Sender, flush
from tests.integration.controlplane.waiting import until

BEFORE_COMMIT = (
    "before decompress",
    "before BEGIN IMMEDIATE",
    "before INSERT INTO items",
    "before INSERT INTO batches",
    "before UPDATE instances",
    "before COMMIT",
)
AFTER_COMMIT = ("after COMMIT", "before result", "after result", "before answer", "after answer")
"""An answer is sent in two parts: after the first of them its sender still knows nothing."""


def test_a_frame_is_stored_once_at_whichever_step_the_control_plane_died(
    plane: ControlPlane, subtests: pytest.Subtests
) -> None:
    sender = Sender(plane.url, plane.register("agent"), 60)
    sender.call(20)
    assert plane.terminate() == 0
    for step in (*BEFORE_COMMIT, *AFTER_COMMIT):
        with subtests.test(step=step):
            _die_on_a_frame(plane, sender, step)
    plane.start()
    flush([sender])
    assert plane.terminate() == 0
    _assert_stored(plane, sender, sender.outbox.last)


def _die_on_a_frame(plane: ControlPlane, sender: Sender, step: str) -> None:
    plane.start_mortal(step)
    until(sender.step, "what the last one died on is durable")
    before = sender.outbox.durable
    _assert_stored(plane, sender, before)

    plane.tell_to_die()
    sender.call(30)
    sender.step()
    assert plane.wait() == -9, f"it was never {step}"
    assert sender.answers[-1] == 0
    assert sender.outbox.durable == before
    _assert_stored(plane, sender, before + (30 if step in AFTER_COMMIT else 0))


def _assert_stored(plane: ControlPlane, sender: Sender, calls: int) -> None:
    """The first ``calls`` calls of the sender are stored, each once, and nothing else is."""
    stored = stored_of(plane.database, sender.instance_id)
    assert stored.records == stored.distinct_records == stored.seq == calls
    assert stored.items == stored.applied == sender.truth_of(calls)
    assert not stored.rolled_back
    assert not stored.conflicts
