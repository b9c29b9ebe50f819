"""However the bytes of a response are cut or packed, the same is read of it."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace

import pytest

from tests.fixtures.bodies.body import Body
from tests.fixtures.bodies.catalogue import BODIES
from tests.unit.extraction.reading_bodies import pieces, read

every_body = pytest.mark.parametrize("body", [pytest.param(body, id=body.name) for body in BODIES])

SPLITS = 150
"""Places at which a body is cut in two; of a longer body a sample, evenly spread."""


@every_body
def test_a_body_that_comes_byte_by_byte_is_the_same(body: Body) -> None:
    assert read(body, pieces(body.answer, 1)) == read(body)


@every_body
def test_a_body_that_is_cut_anywhere_is_the_same(body: Body) -> None:
    whole = read(body)
    step = max(1, len(body.answer) // SPLITS)
    for cut in range(1, len(body.answer), step):
        assert read(body, (body.answer[:cut], body.answer[cut:])) == whole, cut


@every_body
def test_a_body_with_something_behind_it_is_the_same(body: Body) -> None:
    if body.media.startswith("application/vnd"):
        behind = b"\0\0\0"
    else:
        behind = b"\n\r\n \n"
    found = read(body, (body.answer, behind))
    assert replace(found, response_bytes=0) == replace(read(body), response_bytes=0)


@every_body
@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, deflate"])
def test_a_compressed_body_is_the_same(body: Body, coding: str) -> None:
    packed = body.answer
    for name in coding.split(", "):
        packed = gzip.compress(packed) if name == "gzip" else zlib.compress(packed)
    found = read(body, pieces(packed, 7), headers=(("content-encoding", coding),))
    assert replace(found, response_bytes=0) == replace(read(body), response_bytes=0)


@every_body
def test_a_stream_with_other_line_ends_and_comments_is_the_same(body: Body) -> None:
    if not body.media.startswith("text/event-stream"):
        return
    answer = body.answer.replace(b"\r\n", b"\n").replace(b"\n\n", b"\n\n: keep-alive\n\n")
    for end in (b"\n", b"\r\n", b"\r"):
        changed = b"\xef\xbb\xbf" + answer.replace(b"\n", end)
        found = read(body, pieces(changed, 13))
        assert replace(found, response_bytes=0) == replace(read(body), response_bytes=0)
