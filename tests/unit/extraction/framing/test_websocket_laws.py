"""What the ``websockets`` library sends, the framing reads: masks, fragments, compression."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.protocol import Protocol, Side, State

from agentspec_usage.extraction.framing import Event, MessageInflater, WebSocketFraming
from tests.unit.extraction.framing.chunking import items_of

_MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["text", "binary", "ping", "fragments"]),
        st.text(max_size=40).map(str.encode) | st.just(b"a" * 70_000) | st.just(b"ab" * 100),
    ),
    max_size=6,
)


def _sent(protocol: Protocol, messages: list[tuple[str, bytes]]) -> bytes:
    for kind, data in messages:
        if kind == "text":
            protocol.send_text(data)
        elif kind == "binary":
            protocol.send_binary(data)
        elif kind == "ping":
            protocol.send_ping(data[:50])
        else:
            middle = len(data) // 2
            protocol.send_binary(data[:middle], fin=False)
            protocol.send_pong(b"between")
            protocol.send_continuation(data[middle:], fin=True)
    return b"".join(protocol.data_to_send())


@given(_MESSAGES, st.sampled_from(Side), st.booleans(), st.booleans(), st.integers(1, 5000))
def test_what_the_library_sends_is_read(
    messages: list[tuple[str, bytes]], side: Side, compressed: bool, keeps: bool, size: int
) -> None:
    protocol = Protocol(side, state=State.OPEN)
    inflater = None
    if compressed:
        protocol.extensions = [PerMessageDeflate(not keeps, not keeps, 12, 12)]
        inflater = MessageInflater(keeps_context=keeps)
    stream = _sent(protocol, messages)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

    expected = [Event("", data) for kind, data in messages if kind != "ping"]
    assert items_of(WebSocketFraming(inflater=inflater), *pieces) == expected
