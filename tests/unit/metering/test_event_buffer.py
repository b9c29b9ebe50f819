"""The buffer of events: what is due when, and what becomes of every event that was taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.event_buffer import (
    EventBuffer,
    EventLimits,
    Poison,
    Portion,
    Taken,
)
from agentspec_usage.metering.event_queue import QueueLimits
from agentspec_usage.metering.usage_event import UsageEvent
from tests.unit.metering.usage_events import NOW_MS, drawing, event


def buffer_with(events: int = 0, limits: EventLimits | None = None) -> EventBuffer:
    buffer = EventBuffer(drawing(), limits)
    buffer.start()
    for number in range(events):
        assert buffer.enqueue(event(str(number)), 0.0) is Taken.QUEUED
    return buffer


def portion_of(buffer: EventBuffer, now: float = 0.0) -> Portion:
    found = buffer.next(now)
    assert isinstance(found, Portion)
    return found


def events_of(portion: Portion) -> list[UsageEvent]:
    return [one for frame in portion.frames for one in frame.events]


def test_nothing_is_due_while_nothing_is_held() -> None:
    buffer = buffer_with()
    assert buffer.due_in(100.0) is None
    assert buffer.next(100.0) is None


def test_an_event_is_due_five_seconds_after_it_came() -> None:
    buffer = buffer_with()
    buffer.enqueue(event(), 100.0)
    buffer.enqueue(event(), 104.0)
    assert (buffer.due_in(101.0), buffer.due_in(105.0)) == (4.0, 0.0)


def test_a_hundred_events_are_due_at_once_and_make_one_portion() -> None:
    buffer = buffer_with(99)
    assert buffer.due_in(0.0) == 5.0
    buffer.enqueue(event(), 0.0)
    assert buffer.due_in(0.0) == 0.0
    assert len(events_of(portion_of(buffer))) == 100


def test_events_beyond_a_portion_wait_for_their_own_turn() -> None:
    buffer = buffer_with(130)
    buffer.durable(portion_of(buffer, 1.0), NOW_MS)
    assert buffer.due_in(1.0) == 5.0
    assert len(events_of(portion_of(buffer, 6.0))) == 30


def test_no_interval_is_below_a_quarter_of_a_second() -> None:
    buffer = buffer_with(1, EventLimits(interval=0.001))
    assert buffer.due_in(0.0) == 0.25


def test_a_stop_makes_everything_due() -> None:
    assert buffer_with(1).due_in(0.0, stopping=True) == 0.0


def test_a_portion_that_failed_comes_again_unchanged_and_later_each_time() -> None:
    buffer = buffer_with(3)
    portion = portion_of(buffer)
    waits = []
    for _ in range(4):
        buffer.failed("locked", 0.0)
        waits.append(buffer.due_in(0.0))
        buffer.enqueue(event("late"), 0.0)
        assert portion_of(buffer) == portion
    assert waits == [0.5, 1.0, 2.0, 4.0]
    assert buffer.due_in(0.0, stopping=True) == 4.0
    for _ in range(100):
        buffer.failed("locked", 0.0)
    assert buffer.due_in(0.0) == 60.0
    assert buffer.stats.last_error == "locked"


def test_a_success_forgets_the_failures() -> None:
    buffer = buffer_with(3)
    portion = portion_of(buffer)
    for _ in range(20):
        buffer.failed("locked", 0.0)
    buffer.durable(portion, NOW_MS)
    assert (buffer.stats.last_error, buffer.stats.last_flush_at) == (None, NOW_MS)
    buffer.enqueue(event(), 0.0)
    assert buffer.due_in(0.0) == 5.0
    portion_of(buffer)
    buffer.failed("locked", 0.0)
    assert buffer.due_in(0.0) == 0.5


def test_while_nothing_can_be_written_memory_is_bounded_and_what_is_dropped_is_counted() -> None:
    buffer = buffer_with(0, EventLimits(portion=2, queue=QueueLimits(4, 4, 4)))
    taken = [buffer.enqueue(event(str(number)), 0.0) for number in range(6)]
    assert taken == [Taken.QUEUED] * 4 + [Taken.DROPPED] * 2
    portion_of(buffer)
    buffer.failed("disk full", 0.0)
    assert buffer.enqueue(event(), 0.0) is Taken.DROPPED
    stats = buffer.stats
    assert (stats.total_enqueued, stats.total_dropped, stats.queue_size) == (4, 3, 4)


def test_one_event_that_cannot_be_stored_is_found_and_the_others_go_on() -> None:
    buffer = buffer_with(100)
    stored: list[UsageEvent] = []
    refusals = 0
    poison = None
    while (found := buffer.next(0.0)) is not None:
        if isinstance(found, Poison):
            poison = found
            buffer.kept_beside()
        elif any(one.session == "37" for one in events_of(found)):
            refusals += 1
            buffer.refused("cannot be stored")
        else:
            stored += events_of(found)
            buffer.durable(found, NOW_MS)
    assert poison is not None
    assert (poison.event.session, poison.reason) == ("37", "cannot be stored")
    assert sorted(int(one.session) for one in stored) == [n for n in range(100) if n != 37]
    assert refusals <= 8
    stats = buffer.stats
    assert (stats.total_flushed, stats.total_set_aside, stats.queue_size) == (99, 1, 0)


def test_poison_that_cannot_be_set_aside_yet_is_kept() -> None:
    buffer = buffer_with(1)
    portion_of(buffer)
    buffer.refused("cannot be stored")
    poison = buffer.next(0.0)
    buffer.failed("locked", 0.0)
    assert isinstance(poison, Poison)
    assert buffer.next(0.0) == poison
    assert buffer.stats.total_set_aside == 0


def test_an_event_that_comes_again_with_its_id_counts_once() -> None:
    buffer = buffer_with()
    assert buffer.enqueue(event(event_id="e1"), 0.0) is Taken.QUEUED
    buffer.durable(portion_of(buffer), NOW_MS)
    assert buffer.enqueue(event(event_id="e1"), 0.0) is Taken.REPEATED
    assert buffer.enqueue(event(event_id="e1", agent="agt_b"), 0.0) is Taken.QUEUED
    assert (buffer.stats.total_enqueued, buffer.stats.total_repeated) == (2, 1)


def test_an_event_that_was_dropped_may_come_again() -> None:
    buffer = buffer_with(0, EventLimits(queue=QueueLimits(1, 1, 1)))
    buffer.enqueue(event("a"), 0.0)
    assert buffer.enqueue(event("b", event_id="e"), 0.0) is Taken.DROPPED
    buffer.durable(portion_of(buffer), NOW_MS)
    assert buffer.enqueue(event("b", event_id="e"), 0.0) is Taken.QUEUED


def test_ids_that_are_remembered_are_bounded() -> None:
    buffer = buffer_with(0, EventLimits(known_ids=2))
    for name in ("e1", "e2", "e3"):
        buffer.enqueue(event(event_id=name), 0.0)
    assert buffer.enqueue(event(event_id="e3"), 0.0) is Taken.REPEATED
    assert buffer.enqueue(event(event_id="e1"), 0.0) is Taken.QUEUED


def test_a_second_start_does_nothing() -> None:
    buffer = EventBuffer(drawing())
    assert [buffer.start(), buffer.start()] == [True, False]
    assert buffer.stats.started


def test_after_the_end_nothing_is_taken_and_what_was_held_counts_as_dropped() -> None:
    buffer = buffer_with(3, EventLimits(portion=2))
    portion_of(buffer)
    assert buffer.close() == 3
    assert buffer.enqueue(event(), 0.0) is Taken.DROPPED
    assert buffer.close() == 0
    stats = buffer.stats
    assert (stats.started, stats.queue_size, stats.total_dropped) == (False, 0, 4)


@pytest.mark.parametrize("queued", [0, 1, 5])
def test_nothing_but_the_end_of_a_portion_frees_its_room(queued: int) -> None:
    buffer = buffer_with(queued)
    buffer.next(0.0)
    assert buffer.stats.queue_size == queued


OUTCOMES = st.sampled_from(["enqueue", "durable", "failed", "refused", "rewound"])


@given(st.lists(OUTCOMES, max_size=60), st.sets(st.integers(0, 60)))
def test_every_event_that_was_taken_ends_once_whatever_happens(
    script: list[str], bad: set[int]
) -> None:
    """Stored once, set aside once, or still held; seqs of an instance have no gap."""
    buffer = buffer_with(0, EventLimits(portion=4, queue=QueueLimits(12, 12, 12)))
    taken: list[int] = []
    stored: list[int] = []
    aside: list[int] = []
    stands: dict[str, int] = {}

    def enqueue(number: int) -> None:
        if buffer.enqueue(event(str(number % 3), tokens=number), 0.0) is Taken.QUEUED:
            taken.append(number)

    def step(outcome: str) -> None:
        found = buffer.next(0.0)
        if isinstance(found, Poison):
            aside.append(found.event.counts.input)
            buffer.kept_beside()
        elif found is not None and outcome == "failed":
            buffer.failed("busy", 0.0)
        elif found is not None and outcome == "rewound":
            buffer.rewound(("agt_a",))
        elif found is not None:
            numbers = [one.counts.input for one in events_of(found)]
            if bad.intersection(numbers):
                buffer.refused("bad")
                return
            for one in found.frames:
                assert one.frame.since == stands.get(one.frame.instance_id, 0)
                stands[one.frame.instance_id] = one.frame.last
            stored.extend(numbers)
            buffer.durable(found, NOW_MS)

    for number, outcome in enumerate(script):
        if outcome == "enqueue":
            enqueue(number)
        else:
            step(outcome)
    assert sorted(taken) == sorted({*taken})
    assert buffer.stats.queue_size == len(taken) - len(stored) - len(aside)
    while buffer.stats.queue_size:
        step("durable")
    assert sorted(stored + aside) == taken
    assert set(aside) == bad.intersection(taken)
    stats = buffer.stats
    assert stats.total_enqueued == stats.total_flushed + stats.total_set_aside
