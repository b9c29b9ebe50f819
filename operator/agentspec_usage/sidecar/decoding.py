"""The content codings that the sidecar decodes in its copy: all that HTTP clients ask for.

Brotli and Zstandard are third-party packages, and extraction has none: they are handed to it here.
Both expand without a bound of their own (a kilobyte of either can become gigabytes), so output is
taken in pieces: Brotli's decoder can be told how much, Zstandard's is given little at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import brotli  # type: ignore[import-untyped]
import zstandard

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.framing import STANDARD_DECODERS, NewDecoder

__all__ = ["DECODERS", "BrotliDecoder", "ZstandardDecoder"]

_PIECE = 64 << 10
_ZSTD_INPUT = 64
"""Bytes given to Zstandard at once: 16 blocks at most, of up to 128 KiB each, so 2 MiB come out."""
_ZSTD_WINDOW = 8 << 20
"""The largest window that a content coding may ask for (RFC 9659)."""


class BrotliDecoder:
    """``br`` (RFC 7932). Nothing may follow the stream: there are no members as in gzip."""

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self.ended:
            raise WireError("", "nothing after the end of br")
        try:
            while True:
                piece = self._decompressor.process(data, output_buffer_limit=_PIECE)
                if piece:
                    yield piece
                if self._decompressor.can_accept_more_data():
                    return
                data = b""
        except brotli.error as error:
            raise WireError("", "br") from error

    @property
    def ended(self) -> bool:
        return bool(self._decompressor.is_finished())


class ZstandardDecoder:
    """``zstd`` (RFC 8878), of any number of frames."""

    def __init__(self) -> None:
        self._new = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj
        self._frame = self._new()
        self._begun = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        try:
            for at in range(0, len(data), _ZSTD_INPUT):
                rest = data[at : at + _ZSTD_INPUT]
                while rest:
                    if self._frame.eof:
                        self._frame = self._new()
                    piece = self._frame.decompress(rest)
                    if piece:
                        yield piece
                    rest = self._frame.unused_data if self._frame.eof else b""
        except zstandard.ZstdError as error:
            raise WireError("", "zstd") from error

    @property
    def ended(self) -> bool:
        return self._frame.eof


DECODERS: Mapping[str, NewDecoder] = {
    **STANDARD_DECODERS,
    "br": BrotliDecoder,
    "zstd": ZstandardDecoder,
}
