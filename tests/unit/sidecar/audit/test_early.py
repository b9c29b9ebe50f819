"""Events that come before their request are kept within bounds of number, size and age."""

from __future__ import annotations

from agentspec_usage.sidecar.audit.early import EARLY_MS, EarlyEvents
from agentspec_usage.sidecar.audit.entry import NO_BEHAVIOR, Behavior


def tools(*names: str) -> Behavior:
    return Behavior(tools=names)


def test_several_pushes_of_one_request_are_taken_together_and_once() -> None:
    early = EarlyEvents()
    early.keep("r", tools("a"), "", 0)
    early.keep("r", tools("b"), "named", 1)
    assert early.take("r", 2) == (tools("a", "b"), "named")
    assert early.take("r", 3) == (NO_BEHAVIOR, "")
    assert early.given_up == 0


def test_what_is_too_old_is_given_up_whether_or_not_its_request_comes() -> None:
    early = EarlyEvents()
    early.keep("comes", tools("a"), "", 0)
    assert early.take("comes", EARLY_MS + 1) == (NO_BEHAVIOR, "")
    early.keep("never comes", tools("a"), "", 0)
    early.keep("other", tools("a"), "", EARLY_MS + 1)
    assert len(early) == 1
    assert early.given_up == 2


def test_a_request_that_is_told_of_again_does_not_become_younger() -> None:
    early = EarlyEvents()
    early.keep("r", tools("a"), "", 0)
    early.keep("r", tools("b"), "", EARLY_MS)
    assert early.take("r", EARLY_MS + 1) == (NO_BEHAVIOR, "")


def test_of_too_many_requests_those_that_waited_longest_are_given_up() -> None:
    early = EarlyEvents(max_requests=2)
    for number in range(4):
        early.keep(f"r{number}", tools("a"), "", number)
    assert [early.take(f"r{number}", 9)[0].size for number in range(4)] == [0, 0, 1, 1]
    assert early.given_up == 2


def test_details_are_bounded_over_all_requests() -> None:
    early = EarlyEvents(max_details=5)
    early.keep("large", tools(*"abcd"), "", 0)
    early.keep("next", tools(*"ab"), "", 1)
    assert early.take("large", 2)[0] == NO_BEHAVIOR
    assert early.take("next", 2)[0] == tools(*"ab")
    early.keep("full", tools(*"abcde"), "", 3)
    assert early.take("full", 3)[0].size == 5
