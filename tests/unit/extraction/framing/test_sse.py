"""Server-sent events: what the specification says, and how providers depart from it."""

from __future__ import annotations

import pytest

from agentspec_usage.extraction.framing import Event, SseFraming
from tests.unit.extraction.framing.chunking import every_cut, items_of


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: a\n\ndata: b\n\n", [("", b"a"), ("", b"b")], id="two"),
        pytest.param(b"data:a\n\n", [("", b"a")], id="no space after the colon"),
        pytest.param(b"data:  a\n\n", [("", b" a")], id="one space is left out, not two"),
        pytest.param(b"data: a\ndata: b\n\n", [("", b"a\nb")], id="data of several lines"),
        pytest.param(b"data\n\n", [("", b"")], id="field without a colon"),
        pytest.param(b"data:\ndata\n\n", [("", b"\n")], id="two empty lines of data"),
        pytest.param(b"event: x\ndata: a\n\n", [("x", b"a")], id="named"),
        pytest.param(b"data: a\nevent:x\n\n", [("x", b"a")], id="named after its data"),
        pytest.param(b"event: x\nevent: y\ndata: a\n\n", [("y", b"a")], id="the last name counts"),
        pytest.param(b"event: x\n\ndata: a\n\n", [("", b"a")], id="a name is of its event alone"),
        pytest.param(b": a comment\n\ndata: a\n\n", [("", b"a")], id="comment"),
        pytest.param(b"data: a\n: comment\ndata: b\n\n", [("", b"a\nb")], id="comment inside"),
        pytest.param(b"id: 1\nretry: 9\nother: z\ndata: a\n\n", [("", b"a")], id="other fields"),
        pytest.param(b"datum: b\ndata2: c\n Data: d\n\n", [], id="fields that look like data"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [("", b"a"), ("", b"b")], id="CRLF"),
        pytest.param(b"data: a\r\rdata: b\r\r", [("", b"a"), ("", b"b")], id="CR"),
        pytest.param(b"data: a\n\rdata: b\r\n\n", [("", b"a"), ("", b"b")], id="mixed line ends"),
        pytest.param(b"data: a\r\ndata: b\r\n\r\n", [("", b"a\nb")], id="one CRLF ends no event"),
        pytest.param(b"\n\n\ndata: a\n\n\n\n", [("", b"a")], id="blank lines on their own"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [("", b"a")], id="byte order mark"),
        pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", [], id="a second mark is no mark"),
        pytest.param("data: ü🙂\n\n".encode(), [("", "ü🙂".encode())], id="UTF-8"),
        pytest.param(b"event: \xff\ndata: \xff\n\n", [("\ufffd", b"\xff")], id="no UTF-8"),
        pytest.param(b"data: a\n\ndata: b\n", [("", b"a"), ("", b"b")], id="end after a line"),
        pytest.param(b"data: a\n\ndata: b", [("", b"a"), ("", b"b")], id="end within a line"),
        pytest.param(b"data: a\n\nevent: x\n", [("", b"a")], id="end without data"),
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"\xef\xbb", [], id="half a byte order mark"),
    ],
)
def test_a_stream_is_its_events_however_it_is_cut(
    stream: bytes, events: list[tuple[str, bytes]]
) -> None:
    expected = [Event(name, data) for name, data in events]

    assert items_of(SseFraming(), stream) == expected
    for pieces in every_cut(stream):
        assert items_of(SseFraming(), *pieces) == expected


def test_an_event_is_told_with_the_byte_that_completes_it() -> None:
    framing = SseFraming()

    assert framing.feed(b"data: a\n") == []
    assert framing.feed(b"\n") == [Event("", b"a")]
    assert framing.feed(b"data: b\r\n\r") == [Event("", b"b")]
    assert framing.feed(b"\ndata: c\r\n\r\n") == [Event("", b"c")]


def test_a_name_has_a_bound() -> None:
    stream = b"event: " + b"x" * 1000 + b"\ndata: a\n\n"

    assert items_of(SseFraming(), stream) == [Event("x" * 256, b"a")]
