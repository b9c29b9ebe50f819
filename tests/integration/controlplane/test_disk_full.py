"""A full disk: what cannot be stored is not acknowledged, and comes again when there is room."""

from __future__ import annotations

from pathlib import Path

from tests.integration.controlplane.database import stored_of
from tests.integration.controlplane.filesystems import small_filesystem
from tests.integration.controlplane.processes import ControlPlane, control_plane
from tests.integration.controlplane.senders import Sender, flush
from tests.integration.controlplane.waiting import until


def _send_until_refused(sender: Sender) -> None:
    def refused() -> bool:
        sender.call(500)
        sender.step()
        return sender.answers[-1] == 503

    until(refused, "the disk is full")


def _assert_all_is_stored(plane: ControlPlane, sender: Sender) -> None:
    flush([sender])
    assert plane.get("/health/ready").status_code == 200
    assert plane.terminate() == 0
    stored = stored_of(plane.database, sender.instance_id)
    assert stored.items == stored.applied == sender.truth
    assert stored.seq == sender.outbox.last
    assert not stored.rolled_back


def test_a_file_that_may_not_grow_refuses_and_recovers(plane: ControlPlane) -> None:
    key = plane.register("agent")
    plane.terminate()
    plane.limit_files(1024 * 1024)
    plane.start()
    sender = Sender(plane.url, key, 8)
    _send_until_refused(sender)
    acknowledged = sender.outbox.durable
    assert plane.get("/health/ready").status_code == 503
    assert plane.get("/health/live").status_code == 200
    plane.unlimit_files()
    _assert_all_is_stored(plane, sender)
    assert sender.outbox.durable > acknowledged


def test_a_full_filesystem_refuses_and_recovers(tmp_path: Path) -> None:
    with small_filesystem(tmp_path, 4 * 1024 * 1024) as (directory, ballast):
        with control_plane(directory, "--heartbeat-interval=0") as plane:
            sender = Sender(plane.url, plane.register("agent"), 9)
            _send_until_refused(sender)
            assert plane.get("/health/ready").status_code == 503
            ballast.unlink()
            _assert_all_is_stored(plane, sender)


def test_killed_on_a_full_disk_keeps_what_was_acknowledged(plane: ControlPlane) -> None:
    key = plane.register("agent")
    plane.terminate()
    plane.limit_files(1024 * 1024)
    plane.start()
    sender = Sender(plane.url, key, 10)
    _send_until_refused(sender)
    plane.kill()
    plane.start()
    _assert_all_is_stored(plane, sender)


def test_a_disk_that_is_full_at_the_start_is_named(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path)
    plane.limit_files(16 * 1024)
    try:
        plane.spawn()
        assert plane.wait() == 2
    finally:
        plane.end()
    assert plane.log.startswith(f"agentspec-usage: {plane.database}: ")
    assert "Traceback" not in plane.log
