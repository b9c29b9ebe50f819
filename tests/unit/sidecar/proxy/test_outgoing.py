"""What is held of requests is bounded, and only what may be sent twice is kept."""

from __future__ import annotations

import pytest

from agentspec_usage.sidecar.proxy.heads import HeaderLine, parse_request_head
from agentspec_usage.sidecar.proxy.messages import End
from agentspec_usage.sidecar.proxy.outgoing import HeldBody, Outgoing
from agentspec_usage.sidecar.proxy.parts import Room
from agentspec_usage.sidecar.proxy.routing import Routes
from agentspec_usage.sidecar.proxy.settings import Upstream


def outgoing(request: bytes) -> Outgoing:
    head = parse_request_head(request)
    there = Routes([Upstream("openai", "http://up")]).find(head.target)
    assert there is not None
    return Outgoing(head, there, upgrade=False)


def test_a_body_is_held_up_to_its_bound() -> None:
    held = HeldBody(Room(100), most=10)
    assert held.add(b"12345")
    assert held.add(b"67890")
    assert not held.add(b"x")
    assert held.take() == b"1234567890x"


def test_bodies_are_held_up_to_the_room_of_all_and_give_it_back() -> None:
    room = Room(10)
    first, second = HeldBody(room, most=10), HeldBody(room, most=10)
    assert first.add(b"1234567")
    assert not second.add(b"1234")
    assert first.take() == b"1234567"
    assert second.take() == b"1234"
    third = HeldBody(room, most=10)
    assert third.add(b"1234567890"), "all of the room is there again"
    assert not HeldBody(room, most=10).add(b"1")


def test_a_held_request_is_sent_with_its_own_length() -> None:
    request = outgoing(b"POST /v1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2")
    request.open(b"{more}", b"id", End(), original=b"{}")
    assert request.opening.endswith(b"\r\nContent-Length: 6\r\n\r\n{more}")
    assert request.original == b"{}"
    assert request.whole


def test_a_chunked_request_stays_chunked_and_keeps_its_trailers() -> None:
    request = outgoing(b"POST /v1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked")
    trailers = [
        HeaderLine(b"x-sum", b"X-Sum", b"1"),
        HeaderLine(b"content-length", b"Content-Length", b"9"),
    ]
    request.open(b"abc", b"id", None)
    request.add(b"de")
    request.add_end(End(trailers))
    assert request.opening.endswith(b"\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n")


@pytest.mark.parametrize(
    ("first_line", "whole", "repeatable"),
    [
        pytest.param(b"GET /v1", True, True, id="GET"),
        pytest.param(b"PUT /v1", True, True, id="PUT"),
        pytest.param(b"POST /v1", True, False, id="POST"),
        pytest.param(b"PATCH /v1", True, False, id="PATCH"),
        pytest.param(b"PUT /v1", False, False, id="PUT whose body still comes"),
    ],
)
def test_only_a_whole_request_without_effects_may_be_sent_again(
    first_line: bytes, whole: bool, repeatable: bool
) -> None:
    request = outgoing(first_line + b" HTTP/1.1\r\nHost: h\r\nContent-Length: 2")
    request.open(b"{}" if whole else b"{", b"id", End() if whole else None)
    request.opened()
    if not whole:
        request.end(End())
    assert request.repeatable is repeatable
    assert bool(request.opening) is repeatable
