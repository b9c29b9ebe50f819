"""An answer on its way to the client: its head, the pieces of its body, and what is held of it.

An answer to a request into which the question after usage was put may be a refusal of that
question; it is held until that is known. In the stream that answers the question, one event is not
the client's.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentspec_usage.sidecar.proxy.bodies import (
    FramingKind,
    encode_end,
    encode_piece,
    response_framing,
)
from agentspec_usage.sidecar.proxy.forwarding import response_bytes, trailers_to_send
from agentspec_usage.sidecar.proxy.heads import HeaderLine, RequestHead, ResponseHead
from agentspec_usage.sidecar.proxy.messages import End
from agentspec_usage.sidecar.proxy.usage_asking import ChunkRemoval

__all__ = ["Answer", "HeldAnswer"]


class Answer:
    """Bytes for the client of ``request``. ``closes``: the client's connection ends with it."""

    __slots__ = ("_decoded", "_head", "_kind", "_removal", "closes")

    def __init__(
        self, request: RequestHead, head: ResponseHead, removal: ChunkRemoval | None, *, close: bool
    ) -> None:
        self._head = head
        self._removal = removal
        self._decoded = removal is not None and removal.decodes
        self._kind = _kind_for(request, head, changes=removal is not None)
        self.closes = close or self.until_close

    @property
    def until_close(self) -> bool:
        """Whether only the end of the connection shows the end of the body."""
        return self._kind is FramingKind.UNTIL_CLOSE

    def head(self, request_id: bytes) -> bytes:
        return response_bytes(
            self._head, self._kind, request_id, close=self.closes, decoded=self._decoded
        )

    def piece(self, data: bytes) -> bytes:
        """Raises MessageError where the stream cannot be read that an event is taken out of."""
        if self._removal is not None:
            data = self._removal.feed(data)
        return encode_piece(self._kind, data)

    def end(self, trailers: Sequence[HeaderLine]) -> bytes:
        left = b"" if self._removal is None else self._removal.end()
        return encode_piece(self._kind, left) + encode_end(self._kind, trailers_to_send(trailers))


def _kind_for(request: RequestHead, head: ResponseHead, *, changes: bool) -> FramingKind:
    kind = response_framing(head, request.method).kind
    if kind is FramingKind.NONE or (kind is FramingKind.LENGTH and not changes):
        return kind
    return FramingKind.CHUNKED if request.minor else FramingKind.UNTIL_CLOSE


class HeldAnswer:
    """An answer that is not passed on yet."""

    __slots__ = ("_most", "_size", "end", "head", "pieces")

    def __init__(self, head: ResponseHead, most: int) -> None:
        self.head = head
        self.pieces: list[bytes] = []
        self.end: End | None = None
        self._size = 0
        self._most = most

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def add(self, data: bytes) -> bool:
        """Whether it can be held any longer."""
        self.pieces.append(data)
        self._size += len(data)
        return self._size <= self._most
