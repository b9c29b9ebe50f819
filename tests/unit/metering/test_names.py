"""Names that strangers chose fit into a status."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.names import (
    MAX_NAME_BYTES,
    bounded_name,
    is_showable,
    showable_name,
)

anything = st.text(st.characters(exclude_categories=[]), max_size=300)


@given(anything)
def test_any_name_becomes_showable_and_bounded_and_then_stays(name: str) -> None:
    shown = showable_name(name)
    assert is_showable(shown)
    assert len(shown.encode()) <= MAX_NAME_BYTES
    assert showable_name(shown) == shown


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=MAX_NAME_BYTES))
def test_an_ordinary_name_is_kept_as_it_is(name: str) -> None:
    assert showable_name(name) == name


def test_two_long_names_that_begin_alike_stay_apart() -> None:
    names = [bounded_name("arn:aws:bedrock:" + "x" * 200 + end) for end in ("1", "2")]
    assert names[0] != names[1]
    assert names[0].startswith("arn:aws:bedrock:xxx")


def test_a_cut_never_splits_a_character() -> None:
    # 111 bytes are kept: 37 characters of 3 bytes fit exactly, shifted by one they do not.
    assert bounded_name("€" * 60).startswith("€" * 37 + "~")
    assert bounded_name("a" + "€" * 60).startswith("a" + "€" * 36 + "~")


def test_what_turns_the_text_direction_cannot_be_shown() -> None:
    assert not is_showable("gpt\u202e4")
    assert showable_name("gpt\u202e4\x1b[31m\ud800") == "gpt?4?[31m?"
