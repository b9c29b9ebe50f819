"""Messages come out the same however their bytes were cut, and what follows stays unread."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.sidecar.proxy.bodies import FramingKind, encode_end, encode_piece
from agentspec_usage.sidecar.proxy.heads import MessageError, RequestHead, ResponseHead
from agentspec_usage.sidecar.proxy.messages import End, RequestReader, ResponseReader

MAX_HEAD = 8 * 1024
POST = b"POST /v1 HTTP/1.1\r\nHost: h\r\n"

Read = list[tuple[bytes, bytes, list[tuple[bytes, bytes]]]]


def requests(pieces: Iterable[bytes]) -> Read:
    """Target, body and trailers of each request that is complete."""
    reader = RequestReader(MAX_HEAD)
    read: Read = []
    target, body = b"", b""
    for piece in pieces:
        reader.receive(piece)
        while (event := reader.next_event()) is not None:
            if isinstance(event, RequestHead):
                target, body = event.target, b""
            elif isinstance(event, End):
                read.append((target, body, [line[1:] for line in event.trailers]))
            else:
                body += event
    return read


def cut(data: bytes, points: Iterable[int]) -> list[bytes]:
    places = sorted({0, len(data), *(point % (len(data) + 1) for point in points)})
    return [data[a:b] for a, b in pairwise(places)]


REQUESTS = [
    pytest.param(
        b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
        [(b"/a", b"", []), (b"/b", b"", [])],
        id="two without bodies",
    ),
    pytest.param(
        POST + b"Content-Length: 5\r\n\r\nhello\r\n\r\n" + POST + b"Content-Length: 0\r\n\r\n",
        [(b"/v1", b"hello", []), (b"/v1", b"", [])],
        id="lengths, and empty lines between",
    ),
    pytest.param(
        POST + b"Transfer-Encoding: chunked\r\n\r\n"
        b'5;x="y"\r\nhel\r\n\r\n1  \r\n!\r\n000\r\nX-T: 1\r\nY: 2\r\n\r\n'
        b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n",
        [(b"/v1", b"hel\r\n!", [(b"X-T", b"1"), (b"Y", b"2")]), (b"/next", b"", [])],
        id="chunks with an extension and trailers",
    ),
]


@pytest.mark.parametrize(("data", "expected"), REQUESTS)
def test_requests_are_the_same_whole_byte_by_byte_and_at_every_split(
    data: bytes, expected: Read
) -> None:
    assert requests([data]) == expected
    assert requests(data[i : i + 1] for i in range(len(data))) == expected
    for i in range(len(data)):
        assert requests([data[:i], data[i:]]) == expected


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=40), max_size=6), max_size=4),
    st.lists(st.integers(min_value=0), max_size=30),
)
def test_chunked_bodies_survive_any_chunks_and_any_cuts(
    bodies: list[list[bytes]], points: list[int]
) -> None:
    kind = FramingKind.CHUNKED
    data = b"".join(
        POST
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(encode_piece(kind, chunk) for chunk in chunks)
        + encode_end(kind)
        for chunks in bodies
    )
    assert requests(cut(data, points)) == [(b"/v1", b"".join(chunks), []) for chunks in bodies]


@given(st.binary(max_size=400), st.lists(st.integers(min_value=0), max_size=20))
def test_any_bytes_are_read_or_refused_the_same_in_pieces(data: bytes, points: list[int]) -> None:
    def outcome(pieces: Iterable[bytes]) -> Read | None:
        try:
            return requests([POST + b"Transfer-Encoding: chunked\r\n\r\n", *pieces])
        except MessageError:
            return None

    assert outcome(cut(data, points)) == outcome([data])


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: chunked", 400, id="both framings"),
        pytest.param(b"Content-Length: 5\r\nContent-Length: 6", 400, id="two lengths"),
        pytest.param(b"Content-Length: 5, 5", 400, id="a list of lengths"),
        pytest.param(b"Content-Length: +5", 400, id="a signed length"),
        pytest.param(b"Content-Length: 0x5", 400, id="a hexadecimal length"),
        pytest.param(b"Content-Length: 5 5", 400, id="a length with a space"),
        pytest.param(b"Content-Length:", 400, id="an empty length"),
        pytest.param(b"Content-Length: 9999999999999999999", 400, id="a length beyond numbers"),
        pytest.param(b"Transfer-Encoding: gzip, chunked", 501, id="another encoding"),
        pytest.param(b"Transfer-Encoding: chunked, identity", 501, id="chunked is not last"),
        pytest.param(b"Transfer-Encoding: xchunked", 501, id="almost chunked"),
        pytest.param(b"Transfer-Encoding:", 501, id="an empty encoding"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501, id="chunked twice"
        ),
    ],
)
def test_a_body_with_two_readings_is_refused(lines: bytes, status: int) -> None:
    with pytest.raises(MessageError) as refused:
        requests([POST + lines + b"\r\n\r\n"])
    assert refused.value.status == status


def test_an_old_client_sends_no_chunks() -> None:
    with pytest.raises(MessageError):
        requests([b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"x\r\n", id="no number"),
        pytest.param(b"-1\r\n", id="negative"),
        pytest.param(b"0x5\r\n", id="prefixed"),
        pytest.param(b" 5\r\n", id="a space before"),
        pytest.param(b"\r\n", id="empty"),
        pytest.param(b"1000000000000000\r\n", id="beyond numbers"),
        pytest.param(b"2\r\nabc\r\n", id="longer than it says"),
        pytest.param(b"5;" + b"x" * 2000, id="an endless extension"),
        pytest.param(b"5\nhello", id="a bare line feed"),
        pytest.param(b"0\r\nX : y\r\n\r\n", id="a bad trailer"),
        pytest.param(b"0\r\n" + b"X: y\r\n" * 5000, id="endless trailers"),
    ],
)
def test_a_bad_chunk_is_refused(body: bytes) -> None:
    with pytest.raises(MessageError):
        requests([POST + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"\r\n" * 600])


def test_a_head_is_bounded_however_it_comes() -> None:
    endless = POST + b"X: " + b"y" * MAX_HEAD
    with pytest.raises(MessageError) as refused:
        requests(endless[i : i + 1] for i in range(len(endless)))
    assert refused.value.status == 431
    with pytest.raises(MessageError):
        requests([endless + b"\r\n\r\n"])


def answers(data: bytes, methods: list[bytes], step: int) -> list[tuple[int, bytes]]:
    """Status and body of each answer to ``methods``, fed ``step`` bytes at a time, then closed."""
    reader = ResponseReader(MAX_HEAD)
    read: list[tuple[int, bytes]] = []
    status, body = 0, b""
    waiting = list(methods)
    reader.expect(waiting.pop(0))
    for i in range(0, len(data), step):
        reader.receive(data[i : i + step])
        while (event := reader.next_event()) is not None:
            if isinstance(event, ResponseHead):
                status, body = event.status, b""
                if status < 200:
                    read.append((status, b""))
            elif isinstance(event, End):
                read.append((status, body))
                if waiting:
                    reader.expect(waiting.pop(0))
            else:
                body += event
    if reader.closed():
        read.append((status, body))
    return read


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("data", "methods", "expected"),
    [
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            b"\r\nok",
            [b"GET"],
            [(103, b""), (200, b"ok")],
            id="an interim answer before",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nHTTP/1.1 204 None\r\n\r\n"
            b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n",
            [b"HEAD", b"GET", b"GET"],
            [(200, b""), (204, b""), (304, b"")],
            id="answers that have no body whatever they say",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
            [b"GET"],
            [(200, b"until the end")],
            id="to end",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", [b"GET"], [], id="cut short"
        ),
    ],
)
def test_answers_are_framed_by_what_was_asked(
    data: bytes, methods: list[bytes], expected: list[tuple[int, bytes]], step: int
) -> None:
    assert answers(data, methods, step) == expected


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD, id="an endless head"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", id="both"
        ),
    ],
)
def test_an_answer_that_is_no_http_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        answers(data, [b"GET"], 1)


def test_an_answer_that_nobody_asked_for_is_refused() -> None:
    reader = ResponseReader(MAX_HEAD)
    reader.receive(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    with pytest.raises(MessageError):
        reader.next_event()
