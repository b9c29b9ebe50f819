"""Events that wait are bounded, and nobody takes the room or the turn of another."""

from __future__ import annotations

from agentspec_usage.metering.event_queue import EventQueue, QueueLimits
from tests.unit.metering.usage_events import event

LIMITS = QueueLimits(events=8, of_agent=4, of_session=2)


def filled(*sessions: str, agent: str = "agt_a") -> EventQueue:
    queue = EventQueue(LIMITS)
    for session in sessions:
        assert queue.put(event(session, agent=agent))
    return queue


def test_the_shares_are_a_quarter_for_a_session_and_a_half_for_an_agent() -> None:
    limits = QueueLimits()
    assert (limits.events, limits.of_agent, limits.of_session) == (10_000, 5_000, 2_500)


def test_a_session_that_has_its_share_leaves_room_for_others() -> None:
    queue = filled("busy", "busy")
    assert not queue.put(event("busy"))
    assert queue.put(event("calm"))


def test_an_agent_that_makes_up_sessions_leaves_room_for_others() -> None:
    queue = filled("1", "2", "3", "4")
    assert not queue.put(event("5"))
    assert queue.put(event("5", agent="agt_b"))


def test_the_same_name_of_two_agents_is_two_sessions() -> None:
    queue = filled("s", "s")
    assert queue.put(event("s", agent="agt_b"))


def test_events_without_a_session_share_one() -> None:
    queue = filled("", "")
    assert not queue.put(event(""))


def test_the_whole_is_bounded() -> None:
    queue = EventQueue(LIMITS)
    taken = [queue.put(event("s", agent=f"agt_{number}")) for number in range(9)]
    assert taken == [True] * 8 + [False]


def test_room_is_held_until_an_event_is_out_of_hands() -> None:
    queue = filled("s", "s")
    taken = queue.take(2)
    assert (queue.waiting, queue.held) == (0, 2)
    assert not queue.put(event("s"))
    queue.release(taken)
    assert (queue.held, queue.held_of("agt_a")) == (0, 0)
    assert queue.put(event("s"))


def test_sessions_take_turns_and_each_keeps_its_order() -> None:
    queue = EventQueue(QueueLimits())
    for number in range(4):
        queue.put(event("busy", tokens=number))
    queue.put(event("calm", tokens=100))
    taken = [(one.session, one.counts.input) for one in queue.take(3)]
    assert taken == [("busy", 0), ("calm", 100), ("busy", 1)]
    assert [one.counts.input for one in queue.take(10)] == [2, 3]
