"""Content codings of the standard library: gzip and deflate, stacked, broken and hostile."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from agentspec_usage.extraction.framing import ContentDecoder, ExtractionLimits, Gap, GapReason
from tests.unit.extraction.framing.chunking import every_cut

TEXT = b'data: {"usage":null}\n\n' * 20


def _raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def _decoded(decoder: ContentDecoder, *pieces: bytes) -> tuple[bytes, Gap | None]:
    out = b"".join(plain for piece in pieces for plain in decoder.feed(piece))
    return out, decoder.end()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        pytest.param("", TEXT, id="none"),
        pytest.param("identity", TEXT, id="identity"),
        pytest.param("gzip", gzip.compress(TEXT), id="gzip"),
        pytest.param("X-GZIP ", gzip.compress(TEXT), id="gzip by its old name"),
        pytest.param(
            "gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]), id="gzip in two members"
        ),
        pytest.param("gzip", gzip.compress(TEXT) + bytes(10), id="gzip with padding"),
        pytest.param("gzip", gzip.compress(TEXT) + b"\x1f", id="gzip and half of a beginning"),
        pytest.param("deflate", zlib.compress(TEXT), id="deflate"),
        pytest.param("deflate", zlib.compress(TEXT, 1), id="deflate, fast"),
        pytest.param("deflate", _raw_deflate(TEXT), id="deflate without its wrapper"),
        pytest.param("deflate", zlib.compress(TEXT) + b"more", id="deflate and something"),
        pytest.param("deflate, gzip", gzip.compress(zlib.compress(TEXT)), id="stacked"),
        pytest.param(
            "gzip, identity,, gzip", gzip.compress(gzip.compress(TEXT)), id="stacked on itself"
        ),
    ],
)
def test_a_body_is_decoded_however_it_is_cut(coding: str, body: bytes) -> None:
    assert _decoded(ContentDecoder(coding), body) == (TEXT, None)
    for pieces in every_cut(body):
        assert _decoded(ContentDecoder(coding), *pieces) == (TEXT, None)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, deflate", ""])
def test_a_body_of_nothing_is_no_gap(coding: str) -> None:
    assert _decoded(ContentDecoder(coding)) == (b"", None)


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        pytest.param("gzip", TEXT, GapReason.MALFORMED, id="no gzip"),
        pytest.param("deflate", b"\xff" * 40, GapReason.MALFORMED, id="no deflate"),
        pytest.param("gzip", gzip.compress(TEXT)[:-9], GapReason.TRUNCATED, id="gzip cut off"),
        pytest.param("deflate", b"\x78", GapReason.TRUNCATED, id="one byte of deflate"),
        pytest.param(
            "gzip, deflate",
            zlib.compress(gzip.compress(TEXT)[:-4]),
            GapReason.TRUNCATED,
            id="the inner coding cut off",
        ),
        pytest.param("compress", TEXT, GapReason.UNSUPPORTED, id="unknown"),
        pytest.param("gzip, br", TEXT, GapReason.UNSUPPORTED, id="one of two unknown"),
        pytest.param("gzip," * 99, TEXT, GapReason.UNSUPPORTED, id="too many"),
    ],
)
def test_what_cannot_be_decoded_is_a_gap(coding: str, body: bytes, reason: GapReason) -> None:
    for pieces in ([body], *every_cut(body)):
        assert _decoded(ContentDecoder(coding), *pieces)[1] == Gap(reason)


def test_what_came_before_the_damage_is_told() -> None:
    body = gzip.compress(TEXT)
    damaged = body[:-8] + bytes(8)  # Another checksum.

    pieces = (damaged[:-8], damaged[-8:])
    assert _decoded(ContentDecoder("gzip"), *pieces) == (TEXT, Gap(GapReason.MALFORMED))
    assert _decoded(ContentDecoder("gzip"), damaged)[1] == Gap(GapReason.MALFORMED)


def test_a_bomb_costs_a_bounded_time_and_hardly_memory() -> None:
    bomb = gzip.compress(gzip.compress(bytes(64_000_000)))
    limits = ExtractionLimits(decoded_bytes=20_000_000)
    decoder = ContentDecoder("gzip, gzip", limits=limits)
    tracemalloc.start()
    try:
        told = sum(len(piece) for piece in decoder.feed(bomb))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert decoder.gap == Gap(GapReason.EXPANSION)
    assert 19_900_000 < told <= 20_000_000
    assert peak < 1 << 20
    assert list(decoder.feed(bomb)) == []
