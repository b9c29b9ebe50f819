"""Several control planes on one PostgreSQL: any of them, and the server, may go at any moment."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest

from agentspec_usage.store.opening import verify_database
from tests.fakes.cut_connection import cut_connection
from tests.fixtures.postgresql import PostgresServer, of_its_own, schemas
from tests.integration.controlplane.database import instance_in, seq_of
from tests.integration.controlplane.processes import ControlPlane, control_plane
from tests.integration.controlplane.senders import Sender, flush, sending
from tests.integration.controlplane.waiting import until

PASSWORD = "s3cr3t-canary"
FLAGS = ("--commit-wait=0.3", "--request-rate=100000", "--request-burst=100000")
KILLS = 3


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with of_its_own() as running:
        yield running


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    with schemas(server.url) as make:
        yield make().replace("postgres@", f"postgres:{PASSWORD}@", 1)


@contextmanager
def planes(directory: Path, url: str, number: int = 2) -> Iterator[list[ControlPlane]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(control_plane(directory / str(place), *FLAGS, server_url=url))
            for place in range(number)
        ]


def senders_of(served: list[ControlPlane]) -> list[Sender]:
    """Two instances of one agent at each, and the key is of whichever registered it."""
    keys = [plane.register(f"agent-{place}") for place, plane in enumerate(served)]
    return [
        Sender(plane.url, keys[(place + other) % len(keys)], 100 * place + other)
        for place, plane in enumerate(served)
        for other in range(2)
    ]


def assert_stored(url: str, senders: list[Sender]) -> None:
    assert verify_database(url).finding is None
    for sender in senders:
        stored = instance_in(url, sender.instance_id)
        assert stored.items == stored.applied == stored.reported == sender.truth
        assert stored.records == stored.distinct_records == stored.seq == sender.outbox.last
        assert stored.final
        assert not stored.rolled_back
        assert not stored.conflicts


def test_two_of_them_killed_again_and_again_store_everything_once(tmp_path: Path, url: str) -> None:
    random = Random(3)
    with planes(tmp_path, url) as served:
        senders = senders_of(served)
        with sending(senders):
            for _ in range(KILLS):
                time.sleep(random.uniform(0.05, 0.4))
                killed = random.choice(served)
                killed.kill()
                killed.start()
        flush(senders)
        assert [plane.terminate() for plane in served] == [0, 0]
        assert_stored(url, senders)
        assert any(0 in sender.answers for sender in senders), "nothing was under way at a kill"
        for plane in served:
            assert [line for line in plane.lines() if line["level"] in ("error", "critical")] == []


def test_the_server_may_be_away_and_nobody_starts_anything_anew(
    tmp_path: Path, server: PostgresServer, url: str
) -> None:
    with planes(tmp_path, url) as served:
        senders = senders_of(served)
        with sending(senders):
            until(lambda: all(sender.outbox.durable for sender in senders), "all of them store")
            server.crash()
            until(lambda: all(503 in sender.answers for sender in senders), "all of them are told")
            server.start()
        flush(senders)
        assert [plane.terminate() for plane in served] == [0, 0]
        assert_stored(url, senders)
        for plane in served:
            failures = [line for line in plane.lines() if line["level"] == "error"]
            assert {line["message"] for line in failures} <= {"writing failed"}
            assert len(failures) <= 4, "what goes on failing is told once"


@pytest.mark.parametrize(
    ("words", "pass_on", "stored"),
    [
        pytest.param(b"COMMIT\0", False, 20, id="before its commit"),
        pytest.param(b"COMMIT\0", True, 50, id="after its commit"),
    ],
)
def test_one_that_dies_over_a_frame_leaves_it_to_another_to_store_it_once(
    tmp_path: Path, server: PostgresServer, url: str, words: bytes, pass_on: bool, stored: int
) -> None:
    with cut_connection(server.directory) as way, ExitStack() as stack:
        own = url.replace(quote(str(way.server), safe=""), quote(str(way.directory), safe=""))
        first = stack.enter_context(control_plane(tmp_path / "1", *FLAGS, server_url=own))
        second = stack.enter_context(control_plane(tmp_path / "2", *FLAGS, server_url=url))
        sender = Sender(first.url, first.register("agent"), 60)
        sender.call(20)
        until(sender.step, "all is durable")
        way.cut_at(words, pass_on=pass_on, after=b"COPY items", silently=True)
        sender.call(30)
        assert not sender.step()
        assert sender.answers[-1] == 202
        assert way.happened.wait(20)
        first.kill()
        until(lambda: seq_of(url, sender.instance_id) == stored, "the server has seen it die")
        sender.send_to(second.url)
        flush([sender])
        assert_stored(url, [sender])


def test_a_password_reaches_no_log_and_verifying_needs_the_url_alone(
    tmp_path: Path, url: str
) -> None:
    with planes(tmp_path, url, 1) as (plane,):
        sender = Sender(plane.url, plane.register("agent"), 61)
        sender.call(5)
        flush([sender])
        verify = [sys.executable, "-m", "agentspec_usage.cli.main", "verify", "--database", url]
        verified = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=True)
        assert verified.stdout.splitlines()[-1] == "ok"
        assert plane.terminate() == 0
        started = next(line for line in plane.lines() if line["message"] == "control plane started")
        assert started["database"].startswith("postgresql://postgres@/")
        assert PASSWORD not in plane.log
    elsewhere = ControlPlane(tmp_path, server_url=f"postgresql://postgres:{PASSWORD}@127.0.0.1:1/x")
    try:
        elsewhere.spawn()
        assert elsewhere.wait() == 2
    finally:
        elsewhere.end()
    assert "postgresql://postgres@127.0.0.1:1/x" in elsewhere.log
    assert PASSWORD not in elsewhere.log
