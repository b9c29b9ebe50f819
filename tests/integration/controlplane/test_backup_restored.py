"""A backup is restored while senders run: what they still hold comes again, what nobody holds is
known as a sum, and flagged."""

from __future__ import annotations

from pathlib import Path

from agentspec_usage.metering.counts import ZERO
from tests.integration.controlplane.backups import back_up, restore
from tests.integration.controlplane.database import stored_of
from tests.integration.controlplane.processes import ControlPlane
from tests.integration.controlplane.senders import Sender, flush, sending
from tests.integration.controlplane.waiting import until


def test_totals_equal_the_senders_own_after_a_backup_was_restored_under_them(
    plane: ControlPlane, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    senders = [Sender(plane.url, plane.register(f"agent-{n}"), 20 + n) for n in range(3)]
    with sending(senders):
        until(lambda: all(sender.outbox.durable > 100 for sender in senders), "some are durable")
        back_up(plane.database, backup)
        durable = [sender.outbox.durable for sender in senders]
        until(
            lambda: all(
                sender.outbox.durable > before + 100
                for sender, before in zip(senders, durable, strict=True)
            ),
            "more became durable after the backup",
        )
        plane.kill()
        restore(backup, plane.database)
        plane.start()
        until(lambda: all(sender.outbox.rolled_back for sender in senders), "they noticed")
    flush(senders)
    assert plane.terminate() == 0
    for sender in senders:
        stored = stored_of(plane.database, sender.instance_id)
        assert stored.items == stored.applied == sender.truth
        assert stored.rolled_back
        assert stored.lost != ZERO
        assert stored.records + stored.lost.calls == stored.seq == sender.outbox.last
    told = [line for line in plane.lines() if line["message"].startswith("calls that were durable")]
    assert {line["instance"] for line in told} == {sender.instance_id for sender in senders}


def test_an_idle_sender_learns_it_from_its_heartbeat(plane: ControlPlane, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    sender = Sender(plane.url, plane.register("agent"), 30)
    sender.call(40)
    until(sender.step, "all is durable")
    back_up(plane.database, backup)
    sender.call(60)
    until(sender.step, "all is durable")
    assert plane.terminate() == 0
    restore(backup, plane.database)
    plane.start()
    assert sender.heartbeat() == 40
    flush([sender])
    assert plane.terminate() == 0
    stored = stored_of(plane.database, sender.instance_id)
    assert stored.items == stored.reported == sender.truth
    assert stored.lost.calls == 60
    assert stored.rolled_back


def test_what_a_heartbeat_told_before_it_died_is_reported_beyond_what_is_stored(
    plane: ControlPlane,
) -> None:
    sender = Sender(plane.url, plane.register("agent"), 31)
    sender.call(10)
    until(sender.step, "all is durable")
    applied = sender.truth
    sender.call(5)
    sender.heartbeat()
    sender.close()
    assert plane.terminate() == 0
    stored = stored_of(plane.database, sender.instance_id)
    assert stored.applied == applied
    assert stored.reported == sender.truth
