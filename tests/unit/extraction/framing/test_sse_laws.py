"""Two other readers of server-sent events agree: the specification's steps, and a client's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from agentspec_usage.extraction.framing import Event, ExtractionLimits, SseFraming
from tests.unit.extraction.framing.chunking import items_of, joined, pieces_of

_TOKENS = [
    b"data",
    b"event",
    b"id",
    b"x",
    b":",
    b" ",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\xef\xbb\xbf",
]
_TOKENS += ["ü".encode(), b"\xff", b"[DONE]", b'{"a":1}', b"data: "]
_STREAMS = st.lists(st.sampled_from(_TOKENS), max_size=40).map(joined)


def _by_the_specification(stream: bytes) -> list[Event]:
    """WHATWG HTML, 9.2.6, step by step, with a blank line at the end of the stream."""
    text = stream.removeprefix(b"\xef\xbb\xbf")
    events: list[Event] = []
    name, data = b"", b""
    for line in (text + b"\n\n").splitlines():
        if not line:
            if data:
                events.append(Event(name.decode("utf-8", "replace"), data.removesuffix(b"\n")))
            name, data = b"", b""
        elif not line.startswith(b":"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"event":
                name = value
            elif field == b"data":
                data += value + b"\n"
    return events


@given(pieces_of(_STREAMS))
def test_any_bytes_in_any_pieces_are_the_events_of_the_specification(pieces: list[bytes]) -> None:
    assert items_of(SseFraming(), *pieces) == _by_the_specification(joined(pieces))


@given(pieces_of(_STREAMS), st.integers(1, 30))
def test_how_a_stream_is_cut_does_not_show_also_past_the_bound(
    pieces: list[bytes], bound: int
) -> None:
    limits = ExtractionLimits(event_bytes=bound)

    for wanted in ((), ("a",)):
        whole = items_of(SseFraming(wanted, limits), joined(pieces))
        assert items_of(SseFraming(wanted, limits), *pieces) == whole


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "event: message_start\n", ": ping\n", "id: 3\n"]),
            st.lists(st.text(st.characters(exclude_characters="\r\n"), max_size=9), max_size=3),
        ),
        max_size=5,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_the_openai_client_reads_the_same_events(
    events: list[tuple[str, list[str]]], line_end: str
) -> None:
    blocks = [head + "".join(f"data: {line}\n" for line in lines) for head, lines in events]
    stream = "".join(f"{block}\n" for block in blocks).replace("\n", line_end).encode()

    theirs = [
        Event(event.event or "", event.data.encode())
        for event in SSEDecoder().iter_bytes(iter([stream]))
        if event.data
    ]
    ours = items_of(SseFraming(), stream)

    assert [item for item in ours if isinstance(item, Event) and item.data] == theirs
    assert all(isinstance(item, Event) for item in ours)
