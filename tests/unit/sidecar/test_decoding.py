"""Brotli and Zstandard in the sidecar's copy of a response."""

from __future__ import annotations

import gzip
import tracemalloc

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard

from agentspec_usage.extraction.framing import ContentDecoder, ExtractionLimits, Gap, GapReason
from agentspec_usage.sidecar.decoding import DECODERS

TEXT = b'data: {"usage":null}\n\n' * 20


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _decoded(coding: str, *pieces: bytes) -> tuple[bytes, Gap | None]:
    decoder = ContentDecoder(coding, DECODERS)
    out = b"".join(plain for piece in pieces for plain in decoder.feed(piece))
    return out, decoder.end()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        pytest.param("br", brotli.compress(TEXT), id="br"),
        pytest.param("zstd", _zstd(TEXT), id="zstd"),
        pytest.param("zstd", _zstd(TEXT[:99]) + _zstd(TEXT[99:]), id="zstd in two frames"),
        pytest.param("gzip, br", brotli.compress(gzip.compress(TEXT)), id="br on gzip"),
        pytest.param("zstd, gzip", gzip.compress(_zstd(TEXT)), id="gzip on zstd"),
    ],
)
def test_a_body_is_decoded_however_it_is_cut(coding: str, body: bytes) -> None:
    assert _decoded(coding, body) == (TEXT, None)
    assert _decoded(coding, *(bytes([byte]) for byte in body)) == (TEXT, None)
    for at in range(len(body)):
        assert _decoded(coding, body[:at], body[at:]) == (TEXT, None)


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        pytest.param("br", b"\xff" * 40, GapReason.MALFORMED, id="no br"),
        pytest.param("br", brotli.compress(TEXT) + b"x", GapReason.MALFORMED, id="br and more"),
        pytest.param("zstd", TEXT, GapReason.MALFORMED, id="no zstd"),
        pytest.param("br", brotli.compress(TEXT)[:-1], GapReason.TRUNCATED, id="br cut off"),
        pytest.param("zstd", _zstd(TEXT)[:-1], GapReason.TRUNCATED, id="zstd cut off"),
        pytest.param(
            "zstd",
            zstandard.ZstdCompressor(
                compression_params=zstandard.ZstdCompressionParameters(window_log=24)
            )
            .compressobj()
            .compress(bytes(1 << 20)),
            GapReason.MALFORMED,
            id="zstd with a window larger than allowed",
        ),
    ],
)
def test_what_cannot_be_decoded_is_a_gap(coding: str, body: bytes, reason: GapReason) -> None:
    assert _decoded(coding, body)[1] == Gap(reason)
    assert _decoded(coding, *(bytes([byte]) for byte in body))[1] == Gap(reason)


@pytest.mark.parametrize(
    ("coding", "bomb"),
    [
        pytest.param("br", brotli.compress(bytes(64_000_000), quality=1), id="br"),
        pytest.param("zstd", _zstd(bytes(64_000_000)), id="zstd"),
    ],
)
def test_a_bomb_costs_a_bounded_time_and_bounded_memory(coding: str, bomb: bytes) -> None:
    decoder = ContentDecoder(coding, DECODERS, ExtractionLimits(decoded_bytes=20_000_000))
    largest = told = 0
    tracemalloc.start()
    try:
        for piece in decoder.feed(bomb):
            told += len(piece)
            largest = max(largest, len(piece))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert decoder.gap == Gap(GapReason.EXPANSION)
    assert told <= 20_000_000
    assert largest <= 4 << 20
    assert peak <= 16 << 20
