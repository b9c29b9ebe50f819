"""A request on its way to the upstream: held back while it is judged, then sent as it comes.

What of it can be said again is kept for as long as that may be needed: a request without effects
until its answer begins, and one that was changed until it is known that the change was not refused.
"""

from __future__ import annotations

from agentspec_usage.sidecar.proxy.bodies import (
    Framing,
    FramingKind,
    encode_end,
    encode_piece,
    request_framing,
)
from agentspec_usage.sidecar.proxy.forwarding import request_bytes, trailers_to_send
from agentspec_usage.sidecar.proxy.heads import RequestHead
from agentspec_usage.sidecar.proxy.messages import End
from agentspec_usage.sidecar.proxy.parts import Room
from agentspec_usage.sidecar.proxy.routing import Destination

__all__ = ["HeldBody", "Outgoing"]

_WITHOUT_EFFECTS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))


class HeldBody:
    """The body of a request as far as it came, within the bound of one and the room of all."""

    __slots__ = ("_most", "_pieces", "_room", "_size")

    def __init__(self, room: Room, most: int) -> None:
        self._room = room
        self._most = most
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> bool:
        """Whether more can be held."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size <= self._most and self._room.take(len(data)):
            return True
        self._room.give(self._size - len(data))
        self._size = 0
        return False

    def take(self) -> bytes:
        """All of it; nothing is held any longer."""
        self._room.give(self._size)
        self._size = 0
        body, self._pieces = b"".join(self._pieces), []
        return body


class Outgoing:
    """The bytes of one request. ``whole``: all of it can be sent at once."""

    __slots__ = (
        "_framing",
        "_head",
        "_opening",
        "_spent",
        "_there",
        "_upgrade",
        "original",
        "whole",
    )

    def __init__(self, head: RequestHead, there: Destination, *, upgrade: bool) -> None:
        self._head = head
        self._there = there
        self._upgrade = upgrade
        self._framing = request_framing(head)
        self._opening = b""
        self.original: bytes | None = None
        self.whole = self._framing.kind is FramingKind.NONE
        self._spent = False

    @property
    def opening(self) -> bytes:
        """What is to be sent first: all that came so far."""
        return self._opening

    @property
    def repeatable(self) -> bool:
        """Whether sending ``opening`` twice does no more than sending it once."""
        return self.whole and not self._spent and self._head.method in _WITHOUT_EFFECTS

    def open(
        self, body: bytes, request_id: bytes, end: End | None, original: bytes | None = None
    ) -> None:
        """Begin with ``body``, which is all of it if there is an ``end``. ``original``: what the
        client wrote instead.
        """
        framing = self._framing
        if framing.kind is FramingKind.LENGTH and end is not None:
            framing = Framing(FramingKind.LENGTH, len(body))
        self.original = original
        head = request_bytes(self._head, self._there, framing, request_id, upgrade=self._upgrade)
        self._opening = head + encode_piece(framing.kind, body)
        if end is not None:
            self._opening += self.end(end)

    def add(self, data: bytes) -> None:
        """More of the body, before anything is sent."""
        self._opening += self.piece(data)

    def add_end(self, end: End) -> None:
        self._opening += self.end(end)

    def piece(self, data: bytes) -> bytes:
        return encode_piece(self._framing.kind, data)

    def end(self, end: End) -> bytes:
        self.whole = True
        return encode_end(self._framing.kind, trailers_to_send(end.trailers))

    def opened(self) -> None:
        """``opening`` was sent, and is kept only where it may be sent again."""
        if not self.repeatable:
            self._opening = b""
            self._spent = True
