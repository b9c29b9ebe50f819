"""What concerns one hop stays on it; everything else passes in order."""

from __future__ import annotations

import pytest

from agentspec_usage.sidecar.proxy.bodies import Framing, FramingKind
from agentspec_usage.sidecar.proxy.forwarding import is_upgrade, request_bytes, response_bytes
from agentspec_usage.sidecar.proxy.heads import parse_request_head, parse_response_head
from agentspec_usage.sidecar.proxy.routing import Routes
from agentspec_usage.sidecar.proxy.settings import Upstream

NO_BODY = Framing(FramingKind.NONE)


def forwarded(lines: bytes, framing: Framing = NO_BODY) -> list[bytes]:
    head = parse_request_head(b"POST /v1/chat?k=v HTTP/1.1\r\nHost: localhost:4000\r\n" + lines)
    there = Routes([Upstream("openai", "https://api.example")]).find(head.target)
    assert there is not None
    sent = request_bytes(head, there, framing, b"our-id", upgrade=is_upgrade(head))
    assert sent.endswith(b"\r\n\r\n")
    return sent[:-4].split(b"\r\n")


def test_a_request_is_sent_on_in_order_with_the_upstreams_host() -> None:
    lines = forwarded(b"Authorization: Bearer k\r\nX-Dup: 1\r\naccept-encoding: br\r\nx-dup: 2")
    assert lines == [
        b"POST /v1/chat?k=v HTTP/1.1",
        b"Host: api.example",
        b"Authorization: Bearer k",
        b"X-Dup: 1",
        b"accept-encoding: br",
        b"x-dup: 2",
        b"x-request-id: our-id",
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: x",
        b"Proxy-Authorization: Basic x",
        b"TE: gzip",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
        b"X-Agentspec-Call-Id: abc",
        b"Connection: X-Mine\r\nX-Mine: secret",
    ],
)
def test_a_line_for_one_hop_is_not_sent_on(line: bytes) -> None:
    assert forwarded(b"A: b\r\n" + line) == forwarded(b"A: b")


def test_a_clients_own_request_id_stays() -> None:
    lines = forwarded(b"X-Request-Id: theirs")
    assert b"X-Request-Id: theirs" in lines
    assert not any(b"our-id" in line for line in lines)


def test_trailers_are_asked_for_where_the_client_takes_them() -> None:
    assert forwarded(b"TE: trailers, deflate")[-2:] == [b"Connection: TE", b"TE: trailers"]


@pytest.mark.parametrize(
    ("framing", "line"),
    [
        pytest.param(Framing(FramingKind.LENGTH, 7), b"Content-Length: 7", id="length"),
        pytest.param(Framing(FramingKind.CHUNKED), b"Transfer-Encoding: chunked", id="chunked"),
    ],
)
def test_the_framing_is_the_one_that_is_used(framing: Framing, line: bytes) -> None:
    lines = forwarded(b"Content-Length: 5", framing)
    assert [sent for sent in lines if b"Content-Length" in sent or b"Transfer" in sent] == [line]


def test_only_a_websocket_is_an_upgrade() -> None:
    def asks(lines: bytes, method: bytes = b"GET") -> bool:
        return is_upgrade(parse_request_head(method + b" / HTTP/1.1\r\nHost: h\r\n" + lines))

    assert asks(b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket")
    assert not asks(b"Connection: Upgrade\r\nUpgrade: h2c")
    assert not asks(b"Upgrade: websocket")
    assert not asks(b"Connection: Upgrade\r\nUpgrade: websocket", b"POST")


def answered(lines: bytes, kind: FramingKind, *, close: bool = False) -> list[bytes]:
    head = parse_response_head(b"HTTP/1.1 200 Fine\r\n" + lines)
    return response_bytes(head, kind, b"our-id", close=close)[:-4].split(b"\r\n")


def test_an_answer_is_passed_on_in_order_with_our_id_beside_the_upstreams() -> None:
    lines = answered(
        b"X-Request-ID: req_1\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 3\r\n"
        b"Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: x",
        FramingKind.LENGTH,
    )
    assert lines == [
        b"HTTP/1.1 200 Fine",
        b"X-Request-ID: req_1",
        b"Set-Cookie: a",
        b"set-cookie: b",
        b"Content-Length: 3",
        b"x-agentspec-request-id: our-id",
    ]


def test_an_answer_without_an_id_gets_ours() -> None:
    lines = answered(b"A: b", FramingKind.LENGTH)
    assert lines[2:] == [b"x-request-id: our-id", b"x-agentspec-request-id: our-id"]


def test_a_length_that_no_longer_holds_is_left_out() -> None:
    lines = answered(b"Content-Length: 3", FramingKind.CHUNKED, close=True)
    assert b"Content-Length: 3" not in lines
    assert lines[-2:] == [b"Transfer-Encoding: chunked", b"Connection: close"]


def test_what_a_body_needs_is_no_hops_own_whoever_says_so() -> None:
    lines = answered(
        b"Connection: content-length, content-type\r\nContent-Length: 3\r\nContent-Type: a/b",
        FramingKind.LENGTH,
    )
    assert lines[1:3] == [b"Content-Length: 3", b"Content-Type: a/b"]
