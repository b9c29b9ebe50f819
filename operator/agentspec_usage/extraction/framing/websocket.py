"""WebSocket messages (RFC 6455, RFC 7692) in a copy of one direction of a connection.

Whose frames must be masked is for the two ends to enforce: a copy is unmasked where a frame says
so. What would make frames be read where there are none is refused: unknown opcodes and reserved
bits, control frames that are long or in fragments, fragments of nothing. Text is not checked to be
UTF-8 here; JSON is checked when it is read. Nothing is read after a close frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.framing.events import Item
from agentspec_usage.extraction.framing.gaps import Gap, GapReason
from agentspec_usage.extraction.framing.inflate import MessageInflater
from agentspec_usage.extraction.framing.limits import ExtractionLimits
from agentspec_usage.extraction.framing.payload import Payload

__all__ = ["WebSocketFraming"]

_FIN, _COMPRESSED, _RESERVED, _OPCODE = 0x80, 0x40, 0x30, 0x0F
_MASKED, _LENGTH = 0x80, 0x7F
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_LONGEST_CONTROL = 125
_EXTENDED = {126: struct.Struct(">H"), 127: struct.Struct(">Q")}


@dataclass(slots=True)
class _Frame:
    """The frame whose payload is being read."""

    opcode: int
    final: bool
    left: int
    mask: bytes
    masked: int = 0
    """How much of the payload was unmasked."""

    def unmask(self, data: bytes) -> bytes:
        if not self.mask or not data:
            return data
        shift = self.masked % 4
        self.masked += len(data)
        mask = (self.mask[shift:] + self.mask[:shift]) * (len(data) // 4 + 1)
        plain = int.from_bytes(data) ^ int.from_bytes(mask[: len(data)])
        return plain.to_bytes(len(data))


class WebSocketFraming:
    """Messages to events without names. ``inflater`` where compression was agreed on."""

    def __init__(
        self,
        wanted: Iterable[str] = (),
        limits: ExtractionLimits | None = None,
        inflater: MessageInflater | None = None,
    ) -> None:
        self._limits = limits or ExtractionLimits()
        self._payload = Payload(wanted, self._limits)
        self._inflater = inflater
        self._pending = bytearray()
        self._frame: _Frame | None = None
        self._in_message = False
        self._inflating: MessageInflater | None = None
        self._room = 0
        self._over = False

    def feed(self, data: bytes) -> list[Item]:
        items: list[Item] = []
        if self._over:
            return items
        self._pending += data
        try:
            while not self._over and self._step(items):
                pass
        except WireError:
            self._stop(items, GapReason.MALFORMED)
        return items

    def end(self) -> list[Item]:
        cut_off = not self._over and (self._in_message or self._frame or self._pending)
        self._over = True
        return [Gap(GapReason.TRUNCATED)] if cut_off else []

    def _stop(self, items: list[Item], reason: GapReason) -> None:
        items.append(Gap(reason))
        self._over = True
        self._pending.clear()

    def _step(self, items: list[Item]) -> bool:
        """Read a frame's head or some of its payload. False: more bytes are needed."""
        if self._frame is None:
            self._frame = self._head()
            if self._frame is None:
                return False
        frame, pending = self._frame, self._pending
        if frame.left and not pending:
            return False
        data = bytes(pending[: frame.left])
        del pending[: frame.left]
        frame.left -= len(data)
        if frame.opcode in (_CONTINUATION, _TEXT, _BINARY):
            self._add(frame.unmask(data), items)
        if not frame.left and not self._over:
            self._frame = None
            self._close_frame(frame, items)
        return True

    def _close_frame(self, frame: _Frame, items: list[Item]) -> None:
        if frame.opcode == _CLOSE:
            self._over = True
            self._pending.clear()
        elif frame.opcode in (_CONTINUATION, _TEXT, _BINARY) and frame.final:
            if self._inflating is not None:
                self._spend(self._inflating.end(), items)
            if not self._over:
                self._in_message = False
                items.append(self._payload.close())

    def _add(self, data: bytes, items: list[Item]) -> None:
        if self._inflating is None:
            self._payload.add(data)
        else:
            self._spend(self._inflating.pieces(data), items)

    def _spend(self, pieces: Iterable[bytes], items: list[Item]) -> None:
        for piece in pieces:
            self._room -= len(piece)
            if self._room < 0:
                self._stop(items, GapReason.EXPANSION)
                return
            self._payload.add(piece)

    def _head(self) -> _Frame | None:
        """The head of the next frame, or None while it has not come whole."""
        pending = self._pending
        if len(pending) < 2:
            return None
        first, second = pending[0], pending[1]
        length, at = second & _LENGTH, 2
        self._check(first, length)
        extended = _EXTENDED.get(length)
        mask_length = 4 if second & _MASKED else 0
        if len(pending) < 2 + (extended.size if extended else 0) + mask_length:
            return None
        if extended is not None:
            (length,) = extended.unpack_from(pending, at)
            at += extended.size
        mask = bytes(pending[at : at + mask_length])
        del pending[: at + mask_length]
        opcode = first & _OPCODE
        if opcode in (_TEXT, _BINARY):
            self._in_message = True
            self._inflating = self._inflater if first & _COMPRESSED else None
            self._room = self._limits.decoded_bytes
        return _Frame(opcode, bool(first & _FIN), length, mask)

    def _check(self, first: int, length: int) -> None:
        opcode, compressed = first & _OPCODE, bool(first & _COMPRESSED)
        if first & _RESERVED or (compressed and self._inflater is None):
            raise WireError("frame", "no reserved bit")
        if opcode in (_CLOSE, _PING, _PONG):
            if compressed or not first & _FIN or length > _LONGEST_CONTROL:
                raise WireError("frame", "a short control frame in one piece")
        elif opcode == _CONTINUATION:
            if compressed or not self._in_message:
                raise WireError("frame", "a continuation of a message")
        elif opcode not in (_TEXT, _BINARY) or self._in_message:
            raise WireError("frame", "a known opcode, and the end of one message before the next")
