"""Both shells deliver over real HTTP, through faults, and end within their grace."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from agentspec_usage.delivery.http import AsyncHttpPoster, HttpPoster
from agentspec_usage.delivery.sender import NoAnswer, Sender, SenderSettings
from agentspec_usage.delivery.tasks import TaskDelivery
from agentspec_usage.delivery.threaded import ThreadedDelivery
from agentspec_usage.metering.outbox import Outbox
from agentspec_usage.runtime.clock import SystemClock
from tests.fakes.frame_receiver import FrameReceiver
from tests.unit.metering.readings import A
from tests.unit.metering.records import SMALL, outbox_with, record

QUICK = SenderSettings(interval=0.05, pause=0.02, longest_pause=0.1)
GRACE = 20.0
KEY = "canary-key"

Delivered = Callable[..., bool]


@pytest.fixture
def receiver() -> Iterator[FrameReceiver]:
    with FrameReceiver() as receiver:
        yield receiver


def sender_of(outbox: Outbox) -> Sender:
    sender = Sender("agent-1", QUICK)
    sender.add(outbox)
    return sender


def delivered_by_thread(url: str, outbox: Outbox, grace: float = GRACE) -> bool:
    delivery = ThreadedDelivery(sender_of(outbox), HttpPoster(url, KEY), SystemClock())
    delivery.start()
    delivery.start()
    return delivery.stop(grace)


def delivered_by_task(url: str, outbox: Outbox, grace: float = GRACE) -> bool:
    async def main() -> bool:
        delivery = TaskDelivery(sender_of(outbox), AsyncHttpPoster(url, KEY), SystemClock())
        delivery.start()
        delivery.start()
        return await delivery.stop(grace)

    return asyncio.run(main())


shells = pytest.mark.parametrize(
    "delivered",
    [
        pytest.param(delivered_by_thread, id="threaded"),
        pytest.param(delivered_by_task, id="asyncio"),
    ],
)


@shells
@pytest.mark.parametrize(
    "statuses",
    [
        pytest.param([], id="no fault"),
        pytest.param([500, 502], id="errors"),
        pytest.param([429, 503], id="asked to come back"),
        pytest.param([0, 0], id="answers lost after storing"),
        pytest.param([302], id="redirected"),
        pytest.param([401], id="unauthorized"),
    ],
)
def test_everything_is_durable_once_and_the_end_is_said(
    receiver: FrameReceiver, delivered: Delivered, statuses: list[int]
) -> None:
    receiver.statuses.extend(statuses)
    assert delivered(receiver.url, outbox_with(9, SMALL))
    found = receiver.store.stored(A)
    assert (found.items.calls, found.items.input, found.mark.final) == (9, 90, True)
    assert receiver.store.conflicts == 0
    assert {seen["authorization"] for seen in receiver.headers} == {f"Bearer {KEY}"}


@shells
def test_without_a_receiver_the_grace_ends_and_everything_is_still_held(
    delivered: Delivered,
) -> None:
    outbox = outbox_with(3)
    assert not delivered("http://127.0.0.1:9/", outbox, 0.2)
    assert outbox.spool().frames[-1].frame.last == 3


def test_calls_recorded_by_many_threads_while_sending_arrive_once(
    receiver: FrameReceiver,
) -> None:
    outbox = outbox_with(0)
    delivery = ThreadedDelivery(sender_of(outbox), HttpPoster(receiver.url), SystemClock())
    delivery.start()

    def work() -> None:
        for _ in range(200):
            with delivery.held():
                outbox.append(record(outbox.last + 1))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert delivery.stop(GRACE)
    assert receiver.store.stored(A).items.calls == 800
    assert delivery.stats.backlog == 0


def test_whoever_wakes_it_sends_before_the_interval(receiver: FrameReceiver) -> None:
    outbox, sender = outbox_with(0), Sender("agent-1", SenderSettings(interval=3600))
    sender.add(outbox)
    delivery = ThreadedDelivery(sender, HttpPoster(receiver.url), SystemClock())
    delivery.start()
    with delivery.held():
        outbox.append(record(1))
    for _ in range(500):
        delivery.wake()
        if delivery.stats.backlog == 0:
            break
        time.sleep(0.02)
    assert receiver.store.stored(A).items.calls == 1
    assert delivery.stop(GRACE)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://127.0.0.1:9/", id="nobody listens"),
        pytest.param("nonsense", id="no URL"),
    ],
)
def test_what_goes_wrong_is_an_answer_without_the_key(url: str) -> None:
    reply = HttpPoster(url, KEY).post(b"{}")
    assert isinstance(reply, NoAnswer)
    assert KEY not in reply.reason
