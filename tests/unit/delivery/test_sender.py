"""When a request goes out, what its answer does, and how long the sender waits."""

from __future__ import annotations

import pytest

from agentspec_usage.delivery.sender import (
    NoAnswer,
    Reply,
    Request,
    Sender,
    SenderSettings,
)
from agentspec_usage.metering.frame import SealedFrame
from agentspec_usage.metering.outbox import Outbox
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.wire.records_answer import RecordsAnswer, encode_records_answer
from agentspec_usage.wire.records_encoding import encode_frame
from tests.simulation.frame_store import MemoryStore
from tests.unit.metering.readings import A, B
from tests.unit.metering.records import SMALL, outbox_with, record

SETTINGS = SenderSettings(interval=5, pause=1, longest_pause=60)


@pytest.fixture
def sender() -> Sender:
    return Sender("agent-1", SETTINGS)


def request_at(sender: Sender, now: float) -> Request:
    action = sender.poll(now)
    assert isinstance(action, Request)
    return action


def pause_at(sender: Sender, now: float) -> float:
    action = sender.poll(now)
    assert not isinstance(action, Request)
    return action


def stored(store: MemoryStore, request: Request) -> Reply:
    return Reply(200, store.receive(request.body))


def of_another_instance() -> Outbox:
    outbox = Outbox(B, Observer.SDK, encode_frame)
    outbox.append(record(1))
    return outbox


def test_without_calls_it_waits_its_interval(sender: Sender) -> None:
    sender.add(outbox_with(0))
    assert pause_at(sender, 0) == 5


def test_one_request_at_a_time_carries_a_frame_of_each_instance(sender: Sender) -> None:
    sender.add(outbox_with(1))
    sender.add(of_another_instance())
    request = request_at(sender, 0)
    assert {sealed.frame.instance_id for sealed in request.frames} == {A, B}
    assert pause_at(sender, 0) > 0


def test_a_backlog_goes_on_right_after_each_answer(sender: Sender) -> None:
    outbox, store, requests = outbox_with(9, SMALL), MemoryStore(), 0
    sender.add(outbox)
    while not sender.settled:
        request = request_at(sender, 0)
        sender.answered(request, stored(store, request), 0)
        requests += 1
    assert requests > 1
    assert store.stored(A).items.calls == 9
    assert pause_at(sender, 0) == 5


def test_what_was_recorded_while_nobody_answered_arrives_once_with_the_next_success(
    sender: Sender,
) -> None:
    outbox, store = outbox_with(2), MemoryStore()
    sender.add(outbox)
    now = 0.0
    request = request_at(sender, now)
    sender.answered(request, Reply(500), now)
    for seq in (3, 4):
        outbox.append(record(seq))
    while not sender.settled:
        action = sender.poll(now)
        if isinstance(action, Request):
            sender.answered(action, stored(store, action), now)
        else:
            now += action
    assert store.stored(A).items.input == 40
    assert store.stored(A).mark.seq == 4


def test_pauses_double_up_to_a_bound_and_are_the_senders_own(sender: Sender) -> None:
    sender.add(outbox_with(1))
    now, pauses = 0.0, []
    for _ in range(10):
        request = request_at(sender, now)
        sender.answered(request, NoAnswer("ConnectError"), now)
        pauses.append(pause_at(sender, now))
        now += pauses[-1] + 0.001
    for number, pause in enumerate(pauses):
        assert min(2**number, 60) / 2 <= pause <= min(2**number, 60)
    other = Sender("agent-2", SETTINGS)
    other.add(outbox_with(1))
    other.answered(request_at(other, 0), NoAnswer("ConnectError"), 0)
    assert pause_at(other, 0) != pauses[0]
    assert sender.stats.last_error == "ConnectError"


def test_it_is_failing_until_something_is_taken_again(sender: Sender) -> None:
    sender.add(outbox_with(1))
    said = [sender.stats.failing]
    sender.answered(request_at(sender, 0), NoAnswer("ConnectError"), 0)
    said.append(sender.stats.failing)
    sender.answered(again := request_at(sender, 60), stored(MemoryStore(), again), 60)
    said.append(sender.stats.failing)
    assert said == [False, True, False]
    assert sender.stats.last_error == "ConnectError"


def test_it_is_failing_while_an_instance_is_refused(sender: Sender) -> None:
    sender.add(outbox_with(1))
    sender.answered(request_at(sender, 0), Reply(422), 0)
    assert (sender.stats.failing, sender.stats.refused) == (True, (A,))


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        pytest.param(7, 7, 8, id="as asked"),
        pytest.param(10**9, 60, 61, id="bounded"),
        pytest.param(0, 0, 1, id="at once"),
    ],
)
def test_it_comes_back_when_the_receiver_says(
    sender: Sender, asked: float, least: float, most: float
) -> None:
    sender.add(outbox_with(1))
    sender.answered(request_at(sender, 0), Reply(429, retry_after=asked), 0)
    assert least <= pause_at(sender, 0) <= most


def test_an_answer_that_is_none_releases_nothing(sender: Sender) -> None:
    outbox = outbox_with(1)
    sender.add(outbox)
    sender.answered(request_at(sender, 0), Reply(200, b"<html>"), 0)
    assert outbox.durable == 0
    assert sender.stats.failures == 1


def test_taken_but_not_durable_yet_is_asked_again_after_a_pause(sender: Sender) -> None:
    sender.add(outbox_with(1))
    not_yet = encode_records_answer(RecordsAnswer({A: 0}))
    sender.answered(request_at(sender, 0), Reply(202, not_yet), 0)
    assert pause_at(sender, 0) == 1
    assert request_at(sender, 1).frames[0].frame.last == 1


def test_a_refused_instance_holds_nobody_else_up(sender: Sender) -> None:
    poisoned, good, store = outbox_with(1), of_another_instance(), MemoryStore()
    sender.add(poisoned)
    sender.add(good)
    now = 0.0
    for _ in range(6):
        action = sender.poll(now)
        if not isinstance(action, Request):
            now += action
        elif A in {sealed.frame.instance_id for sealed in action.frames}:
            sender.answered(action, Reply(422), now)
        else:
            sender.answered(action, stored(store, action), now)
    assert good.settled
    assert poisoned.backlog == 1
    assert sender.stats.refused == (A,)


def test_the_end_waits_for_no_interval(sender: Sender) -> None:
    outbox, store = outbox_with(0), MemoryStore()
    sender.add(outbox)
    assert pause_at(sender, 0) == 5
    outbox.append(record(1))
    sender.finish()
    request = request_at(sender, 0.1)
    assert request.frames[0].frame.final
    sender.answered(request, stored(store, request), 0.1)
    assert sender.settled


def test_whoever_hurries_waits_for_no_interval_but_for_a_pause(sender: Sender) -> None:
    outbox = outbox_with(0)
    sender.add(outbox)
    assert pause_at(sender, 0) == 5
    outbox.append(record(1))
    assert pause_at(sender, 1) == 4
    sender.hurry()
    sender.answered(request_at(sender, 1), NoAnswer("ConnectError"), 1)
    sender.hurry()
    assert pause_at(sender, 1) > 0


def test_who_was_added_until_settled_leaves_when_everything_is_durable(sender: Sender) -> None:
    outbox, store, left = outbox_with(1), MemoryStore(), list[str]()
    outbox.finish()
    sender.add(outbox, lambda: left.append(outbox.instance_id))
    request = request_at(sender, 0)
    assert left == []
    sender.answered(request, stored(store, request), 0)
    assert left == [A]
    assert sender.stats.backlog == 0


def test_an_answer_about_somebody_else_changes_nothing(sender: Sender) -> None:
    outbox = outbox_with(1)
    sender.add(outbox)
    request = request_at(sender, 0)
    stranger = SealedFrame(of_another_instance().spool().frames[0].frame, b"{}")
    answer = encode_records_answer(RecordsAnswer({B: 1}))
    sender.answered(Request(request.body, (stranger,)), Reply(200, answer), 0)
    assert outbox.durable == 0
