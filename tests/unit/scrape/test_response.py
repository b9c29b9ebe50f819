"""The reader of HTTP answers: every case whole, a byte at a time, and with bytes behind its end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.scrape.outcome import Failure
from agentspec_usage.scrape.response import AnswerError, Bounds, ResponseReader

OK = b"HTTP/1.1 200 OK\r\n"


def read(*parts: bytes, closed: bool = False, bounds: Bounds | None = None) -> bytes | None:
    """What a reader makes of ``parts`` in turn, and of the end of the connection."""
    reader = ResponseReader(bounds or Bounds())
    for part in parts:
        body = reader.feed(part)
        if body is not None:
            return body
    return reader.end() if closed else None


def one_by_one(answer: bytes) -> list[bytes]:
    return [answer[i : i + 1] for i in range(len(answer))]


FRAMED = [
    pytest.param(OK + b"Content-Length: 2\r\n\r\n{}", b"{}", id="length"),
    pytest.param(OK + b"Content-Length: 0\r\n\r\n", b"", id="empty"),
    pytest.param(OK + b"content-length:2 \r\nX:\r\n\r\n{}", b"{}", id="no space and small letters"),
    pytest.param(
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", b"{}", id="length twice"
    ),
    pytest.param(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", b"{}", id="no reason phrase"),
    pytest.param(
        OK + b"Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", b"{}", id="identity"
    ),
    pytest.param(
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"{}", id="one chunk"
    ),
    pytest.param(
        OK + b"Transfer-Encoding: Chunked\r\n\r\n1;a=b\r\n{\r\n01\r\n}\r\n0\r\nX: y\r\n\r\n",
        b"{}",
        id="chunks with an extension and a trailer",
    ),
    pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"", id="no chunk"),
    pytest.param(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\n{}",
        b"{}",
        id="interim answers first",
    ),
]


@pytest.mark.parametrize(("answer", "body"), FRAMED)
def test_a_framed_answer_gives_its_body_however_it_arrives(answer: bytes, body: bytes) -> None:
    assert read(answer) == body
    assert read(*one_by_one(answer)) == body
    assert read(answer + b"HTTP/1.1 200 OK\r\n\r\nmore") == body


@pytest.mark.parametrize(("answer", "body"), FRAMED)
def test_a_framed_answer_that_is_cut_anywhere_is_disconnected(answer: bytes, body: bytes) -> None:
    for cut in range(len(answer)):
        with pytest.raises(AnswerError) as refused:
            read(answer[:cut], closed=True)
        assert refused.value.failure is Failure.DISCONNECTED


def test_an_answer_without_framing_ends_with_the_connection() -> None:
    answer = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}"
    assert read(answer) is None
    assert read(answer, closed=True) == b"{}"
    assert read(*one_by_one(answer), closed=True) == b"{}"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        pytest.param(b"HTTP/1.1 404 Not Found\r\n\r\n", Failure.BAD_STATUS, id="404"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", Failure.BAD_STATUS, id="204"),
        pytest.param(
            b"HTTP/1.1 500 X\r\nContent-Length: 9999999\r\n\r\n", Failure.BAD_STATUS, id="500"
        ),
        pytest.param(b"HTTP/1.1 101 Switching\r\n\r\n", Failure.BAD_STATUS, id="101"),
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n",
            Failure.REDIRECTED,
            id="302",
        ),
        pytest.param(b"HTTP/1.1 308 X\r\n\r\n", Failure.REDIRECTED, id="308"),
        pytest.param(OK + b"Content-Encoding: gzip\r\n\r\n", Failure.ENCODED, id="gzip"),
        pytest.param(OK + b"Content-Encoding: identity, br\r\n\r\n", Failure.ENCODED, id="br"),
        pytest.param(
            OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", Failure.ENCODED, id="te gzip"
        ),
        pytest.param(
            OK + b"Content-Length: 262145\r\n\r\n", Failure.TOO_LARGE, id="length past cap"
        ),
        pytest.param(
            OK + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n", Failure.TOO_LARGE, id="huge"
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n40001\r\n",
            Failure.TOO_LARGE,
            id="chunk past cap",
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            Failure.TOO_LARGE,
            id="chunk of 2^64",
        ),
        pytest.param(OK + b"X: " + b"a" * 20_000, Failure.TOO_LARGE, id="header past cap"),
        pytest.param(b"HTTP/1.1 102 X\r\n\r\n" * 2_000, Failure.TOO_LARGE, id="interim for ever"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 20_000,
            Failure.TOO_LARGE,
            id="more framing than body",
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 20_000,
            Failure.TOO_LARGE,
            id="trailers for ever",
        ),
        pytest.param(
            OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            Failure.BAD_BODY,
            id="both framings",
        ),
        pytest.param(
            OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            Failure.BAD_BODY,
            id="two lengths",
        ),
        pytest.param(OK + b"Content-Length: -2\r\n\r\n", Failure.BAD_BODY, id="negative length"),
        pytest.param(OK + b"Content-Length: +2\r\n\r\n", Failure.BAD_BODY, id="signed length"),
        pytest.param(OK + b"Content-Length: 2, 2\r\n\r\n", Failure.BAD_BODY, id="list of lengths"),
        pytest.param(OK + b"Content-Length: 0x2\r\n\r\n", Failure.BAD_BODY, id="hex length"),
        pytest.param(OK + b"Content-Length: \r\n\r\n", Failure.BAD_BODY, id="empty length"),
        pytest.param(OK + b"Content-Length : 2\r\n\r\n", Failure.BAD_BODY, id="space before colon"),
        pytest.param(OK + b"X: a\r\n folded\r\n\r\n", Failure.BAD_BODY, id="folded header"),
        pytest.param(OK + b"no colon\r\n\r\n", Failure.BAD_BODY, id="no colon"),
        pytest.param(OK + b"X: a\x00b\r\n\r\n", Failure.BAD_BODY, id="NUL"),
        pytest.param(OK + b"X: a\nY: b\r\n\r\n", Failure.BAD_BODY, id="bare line feed"),
        pytest.param(b"HTTP/2 200\r\n\r\n", Failure.BAD_BODY, id="HTTP/2"),
        pytest.param(b"HTTP/1.1 99 X\r\n\r\n", Failure.BAD_BODY, id="status 99"),
        pytest.param(b"HTTP/1.1 2000 X\r\n\r\n", Failure.BAD_BODY, id="status 2000"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", Failure.BAD_BODY, id="SSH"),
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x16", Failure.BAD_BODY, id="TLS"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            Failure.BAD_BODY,
            id="chunk size no number",
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
            Failure.BAD_BODY,
            id="chunk size negative",
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n",
            Failure.BAD_BODY,
            id="chunk too short",
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
            Failure.BAD_BODY,
            id="chunk size missing",
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 300,
            Failure.BAD_BODY,
            id="endless size",
        ),
    ],
)
def test_a_bad_answer_is_refused_however_it_arrives(answer: bytes, failure: Failure) -> None:
    for parts in ([answer], one_by_one(answer)):
        with pytest.raises(AnswerError) as refused:
            read(*parts)
        assert refused.value.failure is failure


@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144])
def test_a_body_up_to_the_cap_is_taken(size: int) -> None:
    head = OK + b"Content-Length: %d\r\n\r\n" % size
    assert read(head, b"x" * size) == b"x" * size


def test_a_body_that_ends_with_the_connection_is_capped_too() -> None:
    with pytest.raises(AnswerError) as refused:
        read(OK + b"\r\n", b"x" * 262_144, b"x")
    assert refused.value.failure is Failure.TOO_LARGE


def test_a_refusal_repeats_nothing_of_the_answer_but_its_status() -> None:
    canary = b"sk-canary"
    answers = [
        b"HTTP/1.1 404 " + canary + b"\r\nX: " + canary + b"\r\n\r\n" + canary,
        b"HTTP/1.1 302 X\r\nLocation: http://" + canary + b"/\r\n\r\n",
        OK + b"Content-Encoding: " + canary + b"\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + canary + b"\r\n",
        canary + b"\r\n\r\n",
    ]
    for answer in answers:
        with pytest.raises(AnswerError) as refused:
            read(answer)
        assert canary.decode() not in f"{refused.value} {refused.value.message}"


def outcome(parts: list[bytes]) -> tuple[str, bytes | Failure | None]:
    try:
        return "body", read(*parts, closed=True)
    except AnswerError as refused:
        return "refused", refused.failure


_FRAGMENTS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                OK,
                b"\r\n",
                b"\r\n\r\n",
                b"Content-Length: ",
                b"Transfer-Encoding: chunked",
                b"5",
                b"0",
                b"HTTP/1.1 100 X\r\n\r\n",
            ]
        ),
        st.binary(max_size=12),
    ),
    max_size=12,
)


@given(fragments=_FRAGMENTS, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_no_answer_raises_anything_else_and_how_it_is_cut_changes_nothing(
    fragments: list[bytes], cuts: list[int]
) -> None:
    answer = OK + b"".join(fragments)
    places = sorted({0, len(answer), *(min(cut, len(answer)) for cut in cuts)})
    parts = [answer[a:b] for a, b in pairwise(places)]
    assert outcome(parts) == outcome([answer])
