"""A usage that is read again was not used again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.extraction.seen import MAX_SEEN, REMEMBER_MS, SeenResponses

DAY = 24 * 60 * 60 * 1000


def test_the_first_usage_of_an_id_counts_and_no_later_one() -> None:
    seen = SeenResponses()
    assert [seen.first_usage("openai", "resp_1", at) for at in (0, 5, 30 * DAY)] == [
        True,
        False,
        False,
    ]


def test_asking_remembers_nothing() -> None:
    seen = SeenResponses()
    assert not seen.has("openai", "resp_1")
    assert seen.first_usage("openai", "resp_1", 0)
    assert seen.has("openai", "resp_1")
    assert not seen.has("openai", "")


def test_an_id_belongs_to_its_provider() -> None:
    seen = SeenResponses()
    assert seen.first_usage("openai", "resp_1", 0)
    assert seen.first_usage("azure", "resp_1", 0)


def test_what_has_no_id_is_always_new() -> None:
    seen = SeenResponses()
    assert seen.first_usage("openai", "", 0)
    assert seen.first_usage("openai", "", 0)
    assert len(seen) == 0


def test_an_id_is_forgotten_after_its_time() -> None:
    seen = SeenResponses()
    seen.first_usage("openai", "old", 0)
    seen.first_usage("openai", "new", REMEMBER_MS + 1)
    assert len(seen) == 1
    assert seen.first_usage("openai", "old", REMEMBER_MS + 2)


def test_memory_is_bounded_and_the_oldest_leave_first() -> None:
    seen = SeenResponses()
    for number in range(MAX_SEEN + 10):
        seen.note(number.to_bytes(16), number)
    assert len(seen) == MAX_SEEN
    assert next(seen.entries())[0] == (10).to_bytes(16)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 90 * DAY)), max_size=60))
def test_what_is_remembered_can_be_written_and_read_again(calls: list[tuple[str, int]]) -> None:
    seen = SeenResponses()
    for name, at in calls:
        seen.first_usage("openai", name, at)
    again = SeenResponses()
    for name_bytes, at in list(seen.entries()):
        again.note(name_bytes, at)
    now = max((at for _, at in calls), default=0)
    for name in "abcdef":
        assert again.first_usage("openai", name, now) == seen.first_usage("openai", name, now)
