"""Heads are read strictly and kept as written."""

from __future__ import annotations

import pytest

from agentspec_usage.sidecar.proxy.heads import (
    MAX_LINES,
    MessageError,
    parse_request_head,
    parse_response_head,
    tokens,
)

HOST = b"\r\nHost: h"


def test_lines_keep_their_order_case_and_repetitions() -> None:
    head = parse_request_head(
        b"POST /v1/x?key=a HTTP/1.1\r\nHost: h\r\nX-B: 1\r\nx-a:  2 \r\nX-B: 3\r\nX-Empty:"
    )
    assert (head.method, head.target, head.minor) == (b"POST", b"/v1/x?key=a", 1)
    assert [line[1:] for line in head.lines] == [
        (b"Host", b"h"),
        (b"X-B", b"1"),
        (b"x-a", b"2"),
        (b"X-B", b"3"),
        (b"X-Empty", b""),
    ]
    assert [line.key for line in head.lines][1] == b"x-b"


def test_a_value_may_hold_any_byte_that_ends_no_line() -> None:
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost: h\r\nX: caf\xe9 \t\x01;:")
    assert head.lines[1].value == b"caf\xe9 \t\x01;:"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\n folded: x", 400, id="folded line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\nX : y", 400, id="space before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\nX: a\nY: b", 400, id="bare line feed"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rY: b", 400, id="bare carriage return"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00", 400, id="null"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\n: x", 400, id="no name"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\nno colon", 400, id="no colon"),
        pytest.param(b"GET / HTTP/1.1", 400, id="no host"),
        pytest.param(b"GET / HTTP/1.1" + HOST + HOST, 400, id="two hosts"),
        pytest.param(b"GET  / HTTP/1.1" + HOST, 400, id="two spaces"),
        pytest.param(b"GET /a b HTTP/1.1" + HOST, 400, id="space in the target"),
        pytest.param(b"GET / http/1.1" + HOST, 400, id="small letters"),
        pytest.param(b"G(T / HTTP/1.1" + HOST, 400, id="no method"),
        pytest.param(b"PRI * HTTP/2.0", 505, id="another version"),
        pytest.param(b"GET / HTTP/1.1" + HOST + b"\r\nX: y" * MAX_LINES, 431, id="many lines"),
    ],
)
def test_a_request_head_that_could_be_read_in_two_ways_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(MessageError) as refused:
        parse_request_head(head)
    assert refused.value.status == status


def test_an_old_client_needs_no_host() -> None:
    assert parse_request_head(b"GET / HTTP/1.0").minor == 0


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        pytest.param(b"HTTP/1.1 200 OK", 200, b"OK", id="usual"),
        pytest.param(b"HTTP/1.0 404 Not Found", 404, b"Not Found", id="old"),
        pytest.param(b"HTTP/1.1 200 ", 200, b"", id="no reason"),
        pytest.param(b"HTTP/1.1 200", 200, None, id="no space for one"),
        pytest.param(b"HTTP/1.1 599 caf\xe9", 599, b"caf\xe9", id="not ASCII"),
    ],
)
def test_a_status_line_is_read(line: bytes, status: int, reason: bytes | None) -> None:
    head = parse_response_head(line + b"\r\nA: b")
    assert (head.status, head.reason) == (status, reason)


@pytest.mark.parametrize(
    "line",
    [b"HTTP/2 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 600 No", b"ICY 200 OK", b"", b"HTTP/1.1  200"],
)
def test_what_is_no_status_line_is_refused(line: bytes) -> None:
    with pytest.raises(MessageError):
        parse_response_head(line)


def test_a_list_is_read_over_all_its_lines() -> None:
    head = parse_request_head(
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive, x-One\r\nconnection:,upgrade ,"
    )
    assert tokens(head.lines, b"connection") == [b"keep-alive", b"x-one", b"upgrade"]
