"""Content codings (gzip, deflate, br, zstd, stacked): a copy of a response made readable.

The client gets the bytes as they came; this is for the reader beside it. Memory is bounded by
decoding in pieces, which the caller takes one at a time, and time by how much may come out in all.

gzip and deflate are in the standard library. Others are handed in as factories by who can import
them, so that extraction itself needs nothing. A coding without one makes a response unreadable, and
its call unmetered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.framing.gaps import Gap, GapReason
from agentspec_usage.extraction.framing.inflate import GzipDecoder, ZlibDecoder
from agentspec_usage.extraction.framing.limits import ExtractionLimits

__all__ = ["STANDARD_DECODERS", "ContentDecoder", "Decoder", "NewDecoder", "codings_of"]


class Decoder(Protocol):
    """Undoes one coding."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What comes out of the next bytes, in pieces of bounded size; to be exhausted.

        Raises WireError for bytes that are not of this coding. How much comes out before the error
        depends on how the bytes were cut: libraries drop what one call had decoded.
        """

    @property
    def ended(self) -> bool:
        """Whether the coding says that all has come."""


NewDecoder: TypeAlias = Callable[[], Decoder]

STANDARD_DECODERS: Mapping[str, NewDecoder] = {
    "gzip": GzipDecoder,
    "x-gzip": GzipDecoder,
    "deflate": ZlibDecoder,
}


def codings_of(content_encoding: str) -> tuple[str, ...]:
    """The codings of a ``Content-Encoding``, in the order in which they were applied."""
    names = (name.strip().lower() for name in content_encoding.split(","))
    return tuple(name for name in names if name and name != "identity")


class ContentDecoder:
    """Undoes the codings of one response. Several header lines are to be joined by commas."""

    def __init__(
        self,
        content_encoding: str,
        decoders: Mapping[str, NewDecoder] = STANDARD_DECODERS,
        limits: ExtractionLimits | None = None,
    ) -> None:
        limits = limits or ExtractionLimits()
        codings = codings_of(content_encoding)
        self._room = limits.decoded_bytes
        self._gap: Gap | None = None
        self._stages: list[Decoder] = []
        self._begun = False
        if len(codings) <= limits.codings and all(name in decoders for name in codings):
            self._stages = [decoders[name]() for name in reversed(codings)]
        else:
            self._gap = Gap(GapReason.UNSUPPORTED)

    @property
    def gap(self) -> Gap | None:
        """Why decoding ended before its time; None while it has not."""
        return self._gap

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out of the next bytes, in pieces; to be exhausted. Nothing after a gap."""
        if self._gap is not None or not data:
            return
        if not self._stages:
            yield data
            return
        self._begun = True
        try:
            for piece in _through(self._stages, data):
                self._room -= len(piece)
                if self._room < 0:
                    self._gap = Gap(GapReason.EXPANSION)
                    return
                yield piece
        except WireError:
            self._gap = Gap(GapReason.MALFORMED)

    def end(self) -> Gap | None:
        """Nothing more comes. The gap, if there is one."""
        if self._gap is None and self._begun and not all(stage.ended for stage in self._stages):
            self._gap = Gap(GapReason.TRUNCATED)
        return self._gap


def _through(stages: Sequence[Decoder], data: bytes) -> Iterator[bytes]:
    if not stages:
        yield data
        return
    for piece in stages[0].pieces(data):
        yield from _through(stages[1:], piece)
