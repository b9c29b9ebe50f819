"""What is sent is on the disk first, and heartbeats show what a receiver forgot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentspec_usage.delivery.sender import NoAnswer, Reply
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.sidecar.forwarding import Forwarding
from agentspec_usage.sidecar.ledger.keeper import LedgerKeeper
from agentspec_usage.wire.heartbeat import decode_heartbeat
from agentspec_usage.wire.records import decode_records
from agentspec_usage.wire.records_answer import HeartbeatAnswer, encode_heartbeat_answer
from tests.simulation.frame_store import MemoryStore, Stored
from tests.unit.metering.records import record as plain
from tests.unit.sidecar.ledger.keepers import ending, numbering, opened, opening

PATH = "/api/v1/usage/records"


class Records:
    """Takes frames into a store, and notes what was not on the disk then."""

    def __init__(self, keeper: LedgerKeeper) -> None:
        self.keeper = keeper
        self.store = MemoryStore()
        self.unsynced: list[int] = []
        self.bodies: list[bytes] = []
        self.came = asyncio.Event()

    async def post(self, body: bytes) -> Reply | NoAnswer:
        self.came.set()
        self.unsynced.append(self.keeper.unsynced_bytes)
        self.bodies.append(body)
        return Reply(200, self.store.receive(body))

    async def close(self) -> None:
        """Nothing is open."""


class Heartbeats:
    """Answers where the store stands, or what it is told to."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.bodies: list[bytes] = []
        self.answers: list[Reply | NoAnswer] = []

    async def post(self, body: bytes) -> Reply | NoAnswer:
        self.bodies.append(body)
        if self.answers:
            return self.answers.pop(0)
        instance = self.records.keeper.account.instance_id
        seq = self.records.store.stored(instance).mark.seq
        return Reply(200, encode_heartbeat_answer(HeartbeatAnswer(seq, PATH)))

    async def close(self) -> None:
        """Nothing is open."""


class Pod:
    def __init__(self, directory: Path) -> None:
        self.keeper = opened(directory, SystemClock(), numbering())
        self.records = Records(self.keeper)
        self.heartbeats = Heartbeats(self.records)

    def forwarding(self, interval: float = 3600) -> Forwarding:
        return Forwarding(self.keeper, self.records, self.heartbeats, SystemClock(), interval)

    @property
    def stored(self) -> Stored:
        return self.records.store.stored(self.keeper.account.instance_id)

    def call(self, key: str) -> None:
        self.keeper.write(opening(self.keeper, key))
        self.keeper.write(ending(self.keeper, key, plain(0, 10)))

    async def delivers(self) -> None:
        """One life of the sidecar's end: everything that waits is sent."""
        forwarding = self.forwarding()
        forwarding.start()
        assert await forwarding.stop(10)
        self.keeper.note_acknowledged()


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    pod = Pod(tmp_path)
    yield pod
    pod.keeper.close()


async def test_a_frame_is_on_the_disk_before_it_is_sent(pod: Pod) -> None:
    pod.call("a")
    pod.call("b")
    assert pod.keeper.unsynced_bytes
    await pod.delivers()
    assert set(pod.records.unsynced) == {0}
    assert pod.stored.items.input == 20


async def test_the_end_is_said_in_the_last_frame_and_the_last_heartbeat(pod: Pod) -> None:
    pod.call("a")
    pod.keeper.end_instance()
    await pod.delivers()
    (frame,) = decode_records(pod.records.bodies[-1])
    assert frame.final
    usage = decode_heartbeat(pod.heartbeats.bodies[-1]).usage
    assert usage is not None
    (snapshot,) = usage.snapshots
    assert (snapshot.final, snapshot.totals.input) == (True, 10)


async def test_a_receiver_that_forgot_is_told_again(pod: Pod) -> None:
    """Its answer to a heartbeat says so; what it forgot is known as a sum."""
    pod.call("a")
    forwarding = pod.forwarding(interval=0.02)
    forwarding.start()
    await asyncio.wait_for(pod.records.came.wait(), 10)
    assert pod.stored.mark.seq == 1
    pod.records.store.restore()
    pod.records.came.clear()
    assert pod.stored.mark.seq == 0
    await asyncio.wait_for(pod.records.came.wait(), 10)
    assert pod.stored.missing.input == 10
    assert await forwarding.stop(10)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(NoAnswer("ConnectError"), id="no answer"),
        pytest.param(Reply(204), id="a receiver of another kind"),
        pytest.param(Reply(200, b"<html>"), id="a page"),
        pytest.param(Reply(429, b"", 5.0), id="too many"),
    ],
)
async def test_a_heartbeat_that_is_not_taken_changes_nothing(
    pod: Pod, answer: Reply | NoAnswer
) -> None:
    pod.call("a")
    pod.heartbeats.answers = [answer, answer]
    await pod.delivers()
    assert (pod.stored.items.input, pod.stored.missing.input) == (10, 0)


async def test_a_ledger_that_cannot_be_kept_says_so_in_its_heartbeats(pod: Pod) -> None:
    await pod.delivers()
    keeper = opened(None, SystemClock(), numbering())
    records = Records(keeper)
    heartbeats = Heartbeats(records)
    forwarding = Forwarding(keeper, records, heartbeats, SystemClock(), 3600)
    forwarding.start()
    assert await forwarding.stop(10)
    statuses = [decode_heartbeat(one.bodies[0]).health for one in (pod.heartbeats, heartbeats)]
    assert statuses == [{"status": "ready"}, {"status": "degraded"}]
