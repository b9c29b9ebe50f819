"""Limits by key: what they allow, and that they forget."""

from __future__ import annotations

import pytest

from agentspec_usage.controlplane.limits import HeartbeatSlots, NewInstances, TokenBuckets


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    buckets = TokenBuckets(rate=2, burst=3)
    assert [buckets.take("key", 100.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("key", 100.25) == 0.25
    assert buckets.take("key", 100.5) == 0
    assert buckets.take("key", 100.5) == 0.5


def test_an_idle_key_saves_up_no_more_than_a_burst() -> None:
    buckets = TokenBuckets(rate=2, burst=3)
    buckets.take("key", 0.0)
    assert [bool(buckets.take("key", 9999.0)) for _ in range(4)] == [False, False, False, True]


def test_buckets_of_keys_without_end_do_not_grow() -> None:
    buckets = TokenBuckets(rate=1, burst=1, max_keys=10)
    for number in range(100):
        assert buckets.take(f"key {number}", 0.0) == 0
    assert len(buckets) == 10


def test_several_are_taken_together_or_not_at_all() -> None:
    buckets = TokenBuckets(rate=2, burst=3)
    assert buckets.take("key", 0.0, 2) == 0
    assert buckets.take("key", 0.0, 2) == 0.5
    assert buckets.take("key", 0.0) == 0


def test_an_instance_is_new_once_and_each_agent_has_its_own() -> None:
    new = NewInstances(rate=0.5, burst=2)
    assert new.take("agent", ["a", "b"], 0.0) == 0
    assert new.take("agent", ["a", "b", "a"], 0.0) == 0
    assert new.take("agent", ["a", "c"], 0.0) == 2.0
    assert new.take("other", ["a", "c"], 0.0) == 0
    assert new.take("agent", [], 0.0) == 0
    assert new.take("agent", ["c"], 2.0) == 0


def test_instances_without_end_do_not_grow_what_is_remembered() -> None:
    new = NewInstances(rate=1, burst=1000, max_heard=10)
    for number in range(100):
        assert new.take("agent", [str(number)], 0.0) == 0
    assert len(new) == 10


def test_an_instance_that_is_heard_of_again_is_remembered_longest() -> None:
    new = NewInstances(rate=1e-9, burst=3, max_heard=2)
    for instance in ("a", "b", "a", "c", "a"):
        assert new.take("agent", [instance], 0.0) == 0
    assert new.take("agent", ["b"], 0.0) > 0


def test_of_two_heartbeats_of_an_instance_the_second_waits() -> None:
    slots = HeartbeatSlots(10)
    assert slots.take("key", "a", 100.0) == 0
    assert slots.take("key", "a", 103.0) == 7
    assert slots.take("key", "b", 103.0) == 0
    assert slots.take("other", "a", 103.0) == 0
    assert slots.take("key", "a", 110.0) == 0


def test_a_slot_that_was_given_back_is_free_at_once() -> None:
    slots = HeartbeatSlots(10)
    slots.take("key", "a", 100.0)
    slots.give_back("key", "a")
    assert len(slots) == 0
    assert slots.take("key", "a", 100.0) == 0


def test_giving_back_what_was_forgotten_changes_nothing() -> None:
    slots = HeartbeatSlots(10)
    slots.give_back("key", "a")
    assert slots.take("key", "a", 100.0) == 0


@pytest.mark.parametrize("instances", [5, 1000])
def test_instances_without_end_do_not_grow_the_slots(instances: int) -> None:
    slots = HeartbeatSlots(10, max_keys=3, max_instances=4)
    waits = [slots.take("key", f"{number}", 100.0) for number in range(instances)]
    assert waits == [0] * 4 + [10] * (instances - 4)
    assert slots.take("key", "new", 110.0) == 0
    assert len(slots) == 1


def test_keys_without_end_do_not_grow_the_slots() -> None:
    slots = HeartbeatSlots(10, max_keys=3)
    for number in range(100):
        assert slots.take(f"key {number}", "a", 100.0) == 0
    assert len(slots) == 3
