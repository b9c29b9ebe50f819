"""Somebody else holds the database: requests are answered all the same, and nothing is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.integration.controlplane.database import stored_of
from tests.integration.controlplane.processes import ControlPlane
from tests.integration.controlplane.senders import Sender, flush
from tests.integration.controlplane.waiting import until


def test_a_short_lock_makes_answers_202_and_the_commit_follows(plane: ControlPlane) -> None:
    sender = Sender(plane.url, plane.register("agent"), 4)
    sender.call(10)
    with closing(sqlite3.connect(plane.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        sender.step()
        assert sender.answers == [202]
        assert sender.outbox.durable == 0, "a 202 released what is not durable"
        other.execute("ROLLBACK")
    flush([sender])
    assert plane.terminate() == 0
    stored = stored_of(plane.database, sender.instance_id)
    assert stored.items == sender.truth
    assert stored.records == 10


def test_a_lock_that_lasts_makes_it_unready_until_it_is_gone(plane: ControlPlane) -> None:
    sender = Sender(plane.url, plane.register("agent"), 5)
    sender.call(10)
    with closing(sqlite3.connect(plane.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        sender.step()
        until(lambda: plane.get("/health/ready").status_code == 503, "it says that it cannot write")
        assert "SQLITE_BUSY" in plane.get("/health/ready").text
        assert plane.get("/health/live").status_code == 200
        other.execute("ROLLBACK")
    flush([sender])
    assert plane.get("/health/ready").status_code == 200
    assert plane.terminate() == 0
    assert stored_of(plane.database, sender.instance_id).items == sender.truth
