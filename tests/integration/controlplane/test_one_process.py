"""A database belongs to one process, whatever a rollout or a person starts beside it."""

from __future__ import annotations

import stat
from pathlib import Path

import httpx

from tests.integration.controlplane.database import stored_of
from tests.integration.controlplane.processes import ControlPlane
from tests.integration.controlplane.senders import Sender
from tests.integration.controlplane.waiting import until


def test_a_second_process_on_the_same_database_ends_and_says_who_has_it(
    plane: ControlPlane, tmp_path: Path
) -> None:
    second = ControlPlane(tmp_path)
    try:
        second.spawn()
        assert second.wait() == 2
    finally:
        second.end()
    assert f"another process (pid {plane.pid}) has this database" in plane.log
    assert plane.get("/health/ready").is_success


def test_the_lock_of_a_killed_process_is_gone(plane: ControlPlane) -> None:
    plane.kill()
    plane.start()
    assert plane.terminate() == 0


def test_the_files_are_their_owners_alone(plane: ControlPlane) -> None:
    plane.register("agent")
    files = [path for path in plane.database.parent.iterdir() if path.name.startswith("usage.db")]
    assert {path.name for path in files} == {
        "usage.db",
        "usage.db-wal",
        "usage.db-shm",
        "usage.db.lock",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_stop_answers_what_is_under_way_and_leaves_one_whole_file(plane: ControlPlane) -> None:
    sender = Sender(plane.url, plane.register("agent"), 40)
    sender.call(2000)
    until(sender.step, "all is durable")
    sender.close()
    assert plane.terminate() == 0
    assert not plane.database.with_name("usage.db-wal").exists()
    assert stored_of(plane.database, sender.instance_id).records == 2000
    assert plane.lines()[-1]["message"] == "control plane stopped"


def test_what_listens_is_released(plane: ControlPlane) -> None:
    plane.terminate()
    try:
        plane.get("/health/live")
    except httpx.ConnectError:
        return
    raise AssertionError("somebody still answers")


def test_the_admin_key_and_agents_keys_reach_no_log(plane: ControlPlane) -> None:
    key = plane.register("agent")
    sender = Sender(plane.url, key, 41)
    sender.call(3)
    sender.step()
    sender.heartbeat()
    sender.post(b'{"frames": "sk-canary"}')
    httpx.post(f"{plane.url}/api/v1/register", content=b"sk-canary", headers={"X-Admin-Key": "no"})
    sender.close()
    assert plane.terminate() == 0
    secret = key.rsplit("_", 1)[1]
    kept = plane.database.read_bytes()
    for text in (secret, "an admin key of the tests", "sk-canary"):
        assert text not in plane.log
        assert text.encode() not in kept
