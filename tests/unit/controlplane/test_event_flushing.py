"""The worker that brings events to the store: when it writes, and that a stop loses nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from agentspec_usage.controlplane.event_flushing import EventFlushing
from agentspec_usage.metering.event_buffer import EventBuffer, EventLimits, Taken
from agentspec_usage.metering.event_queue import QueueLimits
from tests.fakes.event_store import MemoryEventStore
from tests.fakes.virtual_time import VirtualClock, run_in_virtual_time
from tests.unit.metering.usage_events import drawing, event

Story = Callable[[EventFlushing, MemoryEventStore], Awaitable[None]]


def told(story: Story, limits: EventLimits | None = None) -> MemoryEventStore:
    """Plays ``story`` with a worker that was started, in virtual time; the store after it."""
    store = MemoryEventStore()

    async def main() -> None:
        flushing = EventFlushing(EventBuffer(drawing(), limits), store, VirtualClock())
        flushing.start()
        await story(flushing, store)

    run_in_virtual_time(main)
    return store


def test_nothing_is_written_inside_enqueue_and_a_lone_event_waits_five_seconds() -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        assert flushing.enqueue(event()) is Taken.QUEUED
        assert store.calls == 0
        await asyncio.sleep(4.9)
        assert store.calls == 0
        await asyncio.sleep(0.2)
        assert len(store.stored) == 1

    told(story)


def test_a_hundred_events_are_written_at_once_but_not_by_the_one_who_brings_them() -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        for number in range(100):
            flushing.enqueue(event(str(number)))
        assert store.calls == 0
        await asyncio.sleep(0.001)
        assert [len(portion) for portion in store.portions] == [100]

    told(story)


def test_while_a_write_is_slow_events_are_taken_and_memory_is_bounded() -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        store.seconds = 60.0
        taken = [flushing.enqueue(event(str(number))) for number in range(6)]
        await asyncio.sleep(10)
        taken += [flushing.enqueue(event(str(number))) for number in range(6)]
        assert (taken.count(Taken.QUEUED), taken.count(Taken.DROPPED)) == (10, 2)
        assert flushing.stats.total_dropped == 2
        assert await flushing.stop(600)

    store = told(story, EventLimits(queue=QueueLimits(10, 10, 10)))
    assert len(store.stored) == 10


def test_a_failure_keeps_the_batch_and_the_next_try_writes_it_once() -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        store.failures = 3
        for number in range(3):
            flushing.enqueue(event(str(number)))
        await asyncio.sleep(5.1)
        stats = flushing.stats
        assert (stats.queue_size, stats.total_dropped) == (3, 0)
        assert stats.last_error == "the usage store could not write: SQLITE_FULL"
        await asyncio.sleep(10)
        stats = flushing.stats
        assert (stats.total_flushed, stats.flush_count, stats.last_error) == (3, 1, None)
        assert store.calls == 4

    assert [len(portion) for portion in told(story).portions] == [3]


def test_an_event_that_cannot_be_stored_does_not_block_those_behind_it() -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        store.refuses = lambda one: one.session == "poison"
        for number in range(50):
            flushing.enqueue(event("poison" if number == 20 else str(number)))
        await asyncio.sleep(5.1)
        stats = flushing.stats
        assert (stats.total_flushed, stats.total_set_aside, stats.queue_size) == (49, 1, 0)

    store = told(story)
    assert [one.session for one in store.aside] == ["poison"]
    assert len(store.stored) == 49


def test_poison_is_kept_in_memory_until_it_is_durable_beside() -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        def refused_while_the_disk_fills_up(_: object) -> bool:
            store.failures = 2
            return True

        store.refuses = refused_while_the_disk_fills_up
        flushing.enqueue(event())
        await asyncio.sleep(5.1)
        assert (flushing.stats.queue_size, flushing.stats.total_set_aside) == (1, 0)
        await asyncio.sleep(10)
        assert (flushing.stats.queue_size, flushing.stats.total_set_aside) == (0, 1)

    assert len(told(story).aside) == 1


def test_a_store_that_went_back_in_time_gets_the_events_under_a_new_instance() -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        flushing.enqueue(event())
        await asyncio.sleep(6)
        store.forgotten = {"agt_a"}
        flushing.enqueue(event())
        await asyncio.sleep(6)
        assert flushing.stats.total_flushed == 2

    assert len(told(story).stored) == 2


def test_a_stop_writes_what_waits_without_waiting_for_the_interval() -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        flushing.enqueue(event())
        began = VirtualClock().monotonic()
        assert await flushing.stop(20)
        assert VirtualClock().monotonic() == began
        assert not flushing.stats.started

    assert len(told(story).stored) == 1


def test_a_stop_drains_what_late_producers_bring_while_it_drains() -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        store.seconds = 1.0
        flushing.enqueue(event("early"))
        stopping = asyncio.create_task(flushing.stop(20))
        await asyncio.sleep(0.5)
        assert flushing.enqueue(event("late")) is Taken.QUEUED
        assert await stopping
        assert flushing.enqueue(event("too late")) is Taken.DROPPED
        assert flushing.stats.total_dropped == 1

    assert [one.session for one in told(story).stored] == ["early", "late"]


@pytest.mark.parametrize("steps", range(12))
def test_in_no_step_of_a_stop_is_an_event_taken_and_not_written(steps: int) -> None:
    taken: list[Taken] = []

    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        flushing.enqueue(event("early"))
        stopping = asyncio.create_task(flushing.stop(20))
        for _ in range(steps):
            await asyncio.sleep(0)
        taken.append(flushing.enqueue(event("late")))
        assert await stopping

    assert len(told(story).stored) == 1 + taken.count(Taken.QUEUED)


def test_a_stop_tries_again_what_failed() -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        store.failures = 2
        flushing.enqueue(event())
        assert await flushing.stop(20)

    assert len(told(story).stored) == 1


def test_a_stop_gives_up_at_the_end_of_its_grace_and_says_how_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        store.failures = 1000
        for number in range(3):
            flushing.enqueue(event(str(number)))
        assert not await flushing.stop(20)
        stats = flushing.stats
        assert (stats.total_dropped, stats.queue_size) == (3, 0)

    assert told(story).stored == []
    (line,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert line.__dict__["events"] == 3


def test_a_second_start_is_no_second_worker() -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        flushing.start()
        flushing.enqueue(event())
        await asyncio.sleep(6)
        assert store.calls == 1
        assert await flushing.stop(1)

    told(story)


def test_what_is_dropped_is_logged_once_a_flush_and_not_once_an_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(flushing: EventFlushing, store: MemoryEventStore) -> None:
        for number in range(30):
            flushing.enqueue(event(str(number)))
        assert [line for line in caplog.records if "dropped" in line.message] == []
        await flushing.stop(20)

    told(story, EventLimits(queue=QueueLimits(10, 10, 10)))
    (line,) = [one for one in caplog.records if "dropped" in one.message]
    assert line.__dict__["events"] == 20
