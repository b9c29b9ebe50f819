"""The ways to cut bytes into pieces, and what a framing tells of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hypothesis import strategies as st

from agentspec_usage.extraction.framing import Framing, Item

NewFraming = Callable[[], Framing]


def items_of(framing: Framing, *pieces: bytes) -> list[Item]:
    """All that ``framing`` tells of ``pieces`` and of their end."""
    items: list[Item] = []
    for piece in pieces:
        items += framing.feed(piece)
    items += framing.end()
    return items


def single_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def every_cut(data: bytes) -> Iterator[list[bytes]]:
    """Byte by byte, and in two at every place, with pieces of nothing in between."""
    yield single_bytes(data)
    for at in range(len(data) + 1):
        yield [data[:at], b"", data[at:]]


@st.composite
def pieces_of(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> list[bytes]:
    """A body, cut anywhere."""
    body = draw(bodies)
    places = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    return [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]


def joined(pieces: Iterable[bytes]) -> bytes:
    return b"".join(pieces)
