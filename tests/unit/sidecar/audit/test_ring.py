"""The ring keeps the newest requests, within bounds, and finds them by id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.sidecar.audit.entry import AuditEntry, Behavior
from agentspec_usage.sidecar.audit.ring import MAX_DETAILS_OF_ONE, AuditRing


def entry(request_id: str, call_id: str = "") -> AuditEntry:
    return AuditEntry(request_id, 0, "POST", "/v1/chat/completions", call_id)


def tools(count: int, name: str = "search") -> Behavior:
    return Behavior(tools=(name,) * count)


@given(
    size=st.integers(1, 6),
    steps=st.lists(st.tuples(st.sampled_from(["put", "end", "add"]), st.integers(0, 30))),
)
def test_a_ring_is_the_end_of_a_list(size: int, steps: list[tuple[str, int]]) -> None:
    ring = AuditRing(size)
    listed: dict[str, AuditEntry] = {}
    for position, (step, number) in enumerate(steps):
        name = f"r{number}"
        if step == "put":
            name = f"r{position}"
            listed[name] = entry(name)
            ring.put(entry(name))
        elif step == "end":
            found = ring.end(name, 200, position)
            assert (found is None) == (name not in list(listed)[-size:])
            if found is not None:
                listed[name] = found
        else:
            found = ring.add(name, tools(1))
            assert (found is None) == (name not in list(listed)[-size:])
            if found is not None:
                listed[name] = found
    assert ring.entries() == list(listed.values())[-size:]
    assert len(ring) == min(len(listed), size)
    assert ring.overwrites == max(len(listed) - size, 0)
    for name, known in listed.items():
        assert ring.find(name) == (known if name in list(listed)[-size:] else None)


def test_an_entry_is_found_by_its_call_id_too() -> None:
    ring = AuditRing(2)
    ring.put(entry("r1", "call"))
    found = ring.add("call", tools(1))
    assert found is not None
    assert found.request_id == "r1"
    assert ring.find("r1") == found


def test_the_newest_of_several_requests_of_one_call_is_found() -> None:
    ring = AuditRing(3)
    for name in ("first", "retried"):
        ring.put(entry(name, "call"))
    found = ring.find("call")
    assert found is not None
    assert found.request_id == "retried"
    # The first one's place is taken, the retried one is still there.
    ring.put(entry("other"))
    ring.put(entry("another"))
    assert ring.find("call") == found


def test_a_call_id_that_is_another_request_s_id_changes_nothing_of_it() -> None:
    ring = AuditRing(3)
    ring.put(entry("victim"))
    ring.put(entry("hostile", "victim"))
    ring.add("victim", tools(1))
    ring.end("hostile", 500, 1)
    victim, hostile = ring.entries()
    assert victim.behavior == tools(1)
    assert victim.status is None
    assert hostile.behavior.size == 0
    assert hostile.status == 500


def test_a_request_whose_entry_is_gone_does_not_end_another_s() -> None:
    ring = AuditRing(1)
    ring.put(entry("old"))
    ring.put(entry("new", "old"))
    assert ring.end("old", 200, 5) is None
    assert ring.entries()[0].status is None


def test_details_of_one_entry_are_bounded_and_counted() -> None:
    ring = AuditRing(1)
    ring.put(entry("r"))
    for _ in range(3):
        ring.add("r", tools(MAX_DETAILS_OF_ONE - 1))
    assert ring.entries()[0].behavior == tools(MAX_DETAILS_OF_ONE)
    assert ring.details_left_out == 3 * (MAX_DETAILS_OF_ONE - 1) - MAX_DETAILS_OF_ONE


@pytest.mark.parametrize(
    "rounds", [pytest.param(1, id="filled"), pytest.param(5, id="overwritten")]
)
def test_details_of_all_entries_are_bounded(rounds: int) -> None:
    ring = AuditRing(4, max_details=10)
    for number in range(4 * rounds):
        ring.put(entry(f"r{number}"))
        ring.add(f"r{number}", tools(4))
        assert sum(listed.behavior.size for listed in ring.entries()) <= 10
    held = sum(listed.behavior.size for listed in ring.entries())
    assert held == 8  # two entries of four, and no room for a third
