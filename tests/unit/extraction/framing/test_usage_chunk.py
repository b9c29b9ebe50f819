"""The chunk that ``include_usage`` caused is taken out of a stream, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.extraction.framing import UsageChunkFilter
from tests.unit.extraction.framing.chunking import every_cut, joined, pieces_of

CONTENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}],"usage":null}\n\n'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":12}}\n\n'
DONE = b"data: [DONE]\n\n"


def _passed(*pieces: bytes) -> bytes:
    chunks = UsageChunkFilter()
    return b"".join(chunks.feed(piece) for piece in pieces) + chunks.end()


@pytest.mark.parametrize(
    ("before", "chunk", "after"),
    [
        pytest.param(CONTENT, USAGE, DONE, id="as OpenAI writes it"),
        pytest.param(b"", USAGE.replace(b"data: ", b"data:"), DONE, id="no space"),
        pytest.param(
            CONTENT.replace(b"\n", b"\r\n"), USAGE.replace(b"\n", b"\r\n"), b"data: x", id="CRLF"
        ),
        pytest.param(CONTENT.replace(b"\n", b"\r"), USAGE.replace(b"\n", b"\r"), b"data", id="CR"),
        pytest.param(CONTENT, USAGE.replace(b"\n\n", b"\n\r\n"), DONE, id="mixed line ends"),
        pytest.param(CONTENT, USAGE[:-2], b"", id="at the end without its blank line"),
        pytest.param(
            CONTENT,
            b': note\nevent: x\ndata: {"choices" : [ ],\ndata: "usage":{}}\n\n',
            DONE,
            id="in several lines",
        ),
        pytest.param(b"\n\n" + CONTENT, USAGE, b"\n" + DONE, id="blank lines around it"),
        pytest.param(CONTENT, USAGE + USAGE, DONE, id="twice"),
    ],
)
def test_the_usage_chunk_alone_is_taken_out_however_the_stream_is_cut(
    before: bytes, chunk: bytes, after: bytes
) -> None:
    stream = before + chunk + after

    for pieces in ([stream], *every_cut(stream)):
        assert _passed(*pieces) == before + after


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(CONTENT + DONE, id="no usage"),
        pytest.param(b'data: {"choices":[],"usage":null}\n\n', id="null usage"),
        pytest.param(b'data: {"choices":[],"prompt_filter_results":[]}\n\n', id="Azure's first"),
        pytest.param(b'data: {"usage":{"prompt_tokens":1}}\n\n', id="no choices at all"),
        pytest.param(b'data: {"choices":[],"x":{"usage":{}}}\n\n', id="usage further down"),
        pytest.param(
            b'data: {"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}\n\n',
            id="usage with a choice, as Mistral",
        ),
        pytest.param(
            b'data: {"usage":{"prompt_tokens":1},"choices":[{"index":0}]}\n\n', id="usage first"
        ),
        pytest.param(b'data: {"choices":[],"usage":{}\n\n', id="no JSON"),
        pytest.param(b'data: [{"choices":[],"usage":{}}]\n\n', id="no object"),
        pytest.param(b'{"choices":[],"usage":{}}\n\n', id="no event"),
        pytest.param(b": comment\r\n\r\n\r\n: another\r\rdata: x", id="comments"),
        pytest.param(b"\xef\xbb\xbf" + CONTENT, id="byte order mark"),
        pytest.param(b'event: error\ndata: {"error":1}\n\n', id="error"),
        pytest.param(b"\x00\xff\r\r\n\n\r\n", id="anything"),
    ],
)
def test_everything_else_passes_byte_by_byte(stream: bytes) -> None:
    for pieces in ([stream], *every_cut(stream)):
        assert _passed(*pieces) == stream


def test_an_event_passes_with_the_byte_that_completes_it() -> None:
    chunks = UsageChunkFilter()

    assert chunks.feed(b'data: {"error":1}\n') == b""
    assert chunks.feed(b"\n") == b'data: {"error":1}\n\n'
    assert chunks.feed(CONTENT + CONTENT[:5]) == CONTENT


def test_content_passes_as_soon_as_its_first_choice_is_seen() -> None:
    chunks = UsageChunkFilter()

    assert chunks.feed(b'data: {"id":"c","choices":[') == b""
    assert chunks.feed(b"{") == b'data: {"id":"c","choices":[{'
    assert chunks.feed(b'"delta":') == b'"delta":'
    assert chunks.feed(b"1}],\n") == b"1}],\n"
    assert chunks.feed(b'data: "usage":{}}') == b'data: "usage":{}}'
    assert chunks.feed(b"\r\n\r") == b"\r\n\r"
    assert chunks.feed(b"\n" + USAGE) == b"\n"


def test_what_is_no_object_passes_at_once() -> None:
    assert UsageChunkFilter().feed(b"data: [D") == b"data: [D"


def test_an_event_that_is_large_passes_before_its_end() -> None:
    chunks = UsageChunkFilter()
    event = b'data: {"choices":[],"x":"' + b"x" * 20_000

    assert chunks.feed(event) == event
    assert chunks.feed(b'","usage":{}}\n\n' + USAGE) == b'","usage":{}}\n\n'


_PARTS = [b"data: ", b'{"choices":[', b'{"index":0}', b'],"usage":', b"{}", b"null", b"}", b"\n"]
_PARTS += [b"\r\n", b"\r", b"\n\n", b"data", b":", b"[DONE]", CONTENT, b": x\n\n", b'{"a":1}']


@given(st.lists(pieces_of(st.lists(st.sampled_from(_PARTS), max_size=20).map(joined)), min_size=1))
def test_how_a_stream_is_cut_does_not_show(streams: list[list[bytes]]) -> None:
    pieces = [piece for stream in streams for piece in stream]

    assert _passed(*pieces) == _passed(joined(pieces))


@given(st.lists(st.sampled_from([CONTENT, USAGE, DONE, b": ping\n\n"])), st.integers(1, 200))
def test_events_pass_in_their_order_less_the_usage_chunks(events: list[bytes], size: int) -> None:
    stream = joined(events)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

    assert _passed(*pieces) == joined(event for event in events if event != USAGE)
