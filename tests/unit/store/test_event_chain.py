"""A link of a session's chain: any change of its text shows, whatever the text says."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.store.proof.event_chain import GENESIS, canonical_json, link_of, read_link
from tests.unit.metering.usage_events import event

LINK = link_of(replace(event("sitzung \u00fc", run="r"), parent_run="p"), 7, GENESIS, "b" * 32, 12)


@given(st.text(), st.text(), st.integers(0, MAX_COUNT))
def test_a_link_is_read_as_it_was_written(session: str, run: str, item: int) -> None:
    link = link_of(event(session, run=run), 1, GENESIS, "b" * 32, item)
    assert read_link(link.text) == link
    assert (link.said["sessionId"], link.event["item"]) == (session, item)


@pytest.mark.parametrize("other", ["0", "a", " ", '"', "\\", "{", "\x00", "\u00e9"])
def test_a_change_of_any_character_shows(other: str) -> None:
    text = LINK.text
    for place, character in enumerate(text):
        if character != other:
            assert read_link(text[:place] + other + text[place + 1 :]) is None, place


@pytest.mark.parametrize("place", range(0, len(LINK.text), 7))
def test_a_text_with_a_character_more_or_less_is_no_link(place: int) -> None:
    text = LINK.text
    assert read_link(text[:place]) is None
    assert read_link(text[:place] + text[place + 1 :]) is None
    assert read_link(text[:place] + "0" + text[place:]) is None


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"_hash":', "[" * 5000], ids=["1", "2", "3", "4", "5", "6"]
)
def test_what_is_no_link_is_none(text: str) -> None:
    assert read_link(text) is None


def test_anybody_can_check_a_link_by_what_is_published() -> None:
    said = json.loads(LINK.text)
    hashed = said.pop("_hash")
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert sha256(text.encode()).hexdigest() == hashed == LINK.hash


@pytest.mark.parametrize(
    ("document", "canonical"),
    [
        pytest.param(
            {"b": '\u20ac$\u000f\nA\'B"\\\\"/', "a": [None, 1]},
            '{"a":[null,1],"b":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
            id="the string of RFC 8785, 3.2.2",
        ),
        pytest.param({"\u007f": "\u2028"}, '{"\u007f":"\u2028"}', id="nothing else is escaped"),
    ],
)
def test_the_form_is_that_of_rfc_8785(document: dict[str, object], canonical: str) -> None:
    assert canonical_json(document) == canonical
