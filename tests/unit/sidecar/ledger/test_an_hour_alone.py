"""The control plane is away for an hour, and the sidecar is killed in between: afterwards every
call is stored once. The clock is moved by hand; sender, outbox, file and store rule are real."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agentspec_usage.delivery.sender import NoAnswer, Reply, Request, Sender
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.pod_ledger import TimePassed
from agentspec_usage.sidecar.ledger.entries import Happened
from tests.fakes.hand_clock import HandClock
from tests.simulation.frame_store import MemoryStore
from tests.unit.metering.records import record as plain
from tests.unit.sidecar.ledger.keepers import ending, numbering, opened, opening

MINUTE = 60


class World:
    """A sidecar that counts a call each second, and a control plane that answers or does not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = HandClock()
        self.draw_id = numbering()
        self.store = MemoryStore()
        self.calls = 0
        self.is_away = False
        self.begin()

    def begin(self) -> None:
        self.keeper = opened(self.directory, self.clock, self.draw_id)
        self.sender = Sender(self.keeper.account.instance_id)
        for outbox in self.keeper.account.outboxes.values():
            self.sender.add(outbox)

    def is_killed(self) -> None:
        self.keeper.close()
        self.begin()

    def second_passes(self, *, loses_answer: bool = False) -> None:
        self.clock.pass_seconds(1)
        self.calls += 1
        key = f"call-{self.calls}"
        self.keeper.write(opening(self.keeper, key))
        record = replace(plain(0, 10), at=self.clock.now())
        self.keeper.write(ending(self.keeper, key, record))
        self.keeper.write(Happened(TimePassed(), self.keeper.now()))
        request = self.sender.poll(self.clock.monotonic())
        if isinstance(request, Request):
            self.sender.answered(
                request, self.answer(request, loses_answer=loses_answer), self.clock.monotonic()
            )
            self.keeper.note_acknowledged()

    def answer(self, request: Request, *, loses_answer: bool) -> Reply | NoAnswer:
        if self.is_away:
            return NoAnswer("away")
        body = self.store.receive(request.body)
        return NoAnswer("lost") if loses_answer else Reply(200, body)

    @property
    def stored(self) -> TokenCounts:
        return self.store.stored(self.keeper.account.instance_id).items


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_after_an_hour_without_a_control_plane_every_call_is_stored_once(world: World) -> None:
    for _ in range(10):
        world.second_passes()
    world.is_away = True
    for minute in range(60):
        for _ in range(MINUTE):
            world.second_passes()
        if minute in (7, 31):
            world.is_killed()
    world.is_away = False
    for _ in range(3 * MINUTE):
        world.second_passes()
    world.is_killed()
    for _ in range(MINUTE):
        world.second_passes()
    outbox = world.keeper.account.outbox
    assert outbox is not None
    assert world.calls == 10 + 64 * MINUTE
    assert outbox.durable > 10 + 60 * MINUTE
    assert world.stored == TokenCounts(input=10 * outbox.durable, calls=outbox.durable)
    assert world.stored.calls >= world.calls - 10
    assert world.keeper.account.snapshot(0).totals.calls == world.calls
    assert world.store.conflicts == 0
    world.keeper.close()


def test_an_answer_that_is_lost_and_a_kill_right_after_it_count_nothing_twice(
    world: World,
) -> None:
    for second in range(2 * MINUTE):
        world.second_passes(loses_answer=second % 20 == 9)
        if second % 20 == 11:
            world.is_killed()
    for _ in range(MINUTE):
        world.second_passes()
    assert world.stored.calls >= world.calls - 10
    assert world.stored.input == 10 * world.stored.calls
    assert world.store.conflicts == 0
    world.keeper.close()
