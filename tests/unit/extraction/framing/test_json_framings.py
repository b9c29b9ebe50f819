"""NDJSON, JSON arrays and whole documents: what is an event, and when."""

from __future__ import annotations

import pytest

from agentspec_usage.extraction.framing import (
    Event,
    Gap,
    GapReason,
    Item,
    JsonArrayFraming,
    JsonDocumentFraming,
    NdjsonFraming,
)
from tests.unit.extraction.framing.chunking import NewFraming, every_cut, items_of

MALFORMED, TRUNCATED = Gap(GapReason.MALFORMED), Gap(GapReason.TRUNCATED)


def _events(*data: bytes) -> list[Item]:
    return [Event("", each) for each in data]


@pytest.mark.parametrize(
    ("new", "body", "items"),
    [
        pytest.param(NdjsonFraming, b"", [], id="no lines"),
        pytest.param(NdjsonFraming, b"1\n2\n", _events(b"1", b"2"), id="lines"),
        pytest.param(NdjsonFraming, b"1\n2", _events(b"1", b"2"), id="the last has no end"),
        pytest.param(NdjsonFraming, b"\n1\n \r\n\n2\n\n", _events(b"1", b"2"), id="blank lines"),
        pytest.param(NdjsonFraming, b"1\r\n2\r\n", _events(b"1\r", b"2\r"), id="lines in CRLF"),
        pytest.param(JsonArrayFraming, b"[]", [], id="empty array"),
        pytest.param(JsonArrayFraming, b" [ ] x", [], id="something follows an empty array"),
        pytest.param(JsonArrayFraming, b"[1,2]", _events(b"1", b"2"), id="scalars"),
        pytest.param(
            JsonArrayFraming,
            b'[{"a":"]}\\""}\n,\r\n{"b":[1,{}]}\n]\n',
            _events(b'{"a":"]}\\""}', b'{"b":[1,{}]}'),
            id="objects",
        ),
        pytest.param(JsonArrayFraming, b'{"error":[]}', _events(b'{"error":[]}'), id="no array"),
        pytest.param(JsonArrayFraming, b"[1,]", [*_events(b"1"), MALFORMED], id="comma at the end"),
        pytest.param(JsonArrayFraming, b"[1 2]", [*_events(b"1"), MALFORMED], id="no comma"),
        pytest.param(JsonArrayFraming, b"oops", [*_events(), TRUNCATED], id="a word, perhaps more"),
        pytest.param(JsonArrayFraming, b"<html>", [MALFORMED], id="a page"),
        pytest.param(JsonArrayFraming, b"", [TRUNCATED], id="no array at all"),
        pytest.param(JsonArrayFraming, b"[1,[2", [*_events(b"1"), TRUNCATED], id="array cut off"),
        pytest.param(JsonDocumentFraming, b'{"a": 1}\n', _events(b'{"a": 1}\n'), id="document"),
        pytest.param(JsonDocumentFraming, b"", _events(b""), id="no document"),
    ],
)
def test_a_body_is_its_events_however_it_is_cut(
    new: NewFraming, body: bytes, items: list[Item]
) -> None:
    assert items_of(new(), body) == items
    for pieces in every_cut(body):
        assert items_of(new(), *pieces) == items


def test_an_element_is_told_before_the_array_is_over() -> None:
    framing = JsonArrayFraming()

    assert framing.feed(b'[{"a": 1') == []
    assert framing.feed(b"}") == [Event("", b'{"a": 1}')]
    assert framing.feed(b",\n") == []
    assert framing.feed(b'{"b": 2}') == [Event("", b'{"b": 2}')]


def test_a_line_is_told_when_it_ends() -> None:
    framing = NdjsonFraming()

    assert framing.feed(b'{"a": 1}') == []
    assert framing.feed(b'\n{"b": 2}\n{') == [Event("", b'{"a": 1}'), Event("", b'{"b": 2}')]
