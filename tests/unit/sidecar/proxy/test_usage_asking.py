"""Who is asked for usage, who is not asked again, and what of the answer is taken out."""

from __future__ import annotations

import gzip
import zlib

import pytest

from agentspec_usage.extraction.framing import STANDARD_DECODERS
from agentspec_usage.extraction.request import read_request
from agentspec_usage.extraction.routing import find_route
from agentspec_usage.sidecar.proxy.heads import (
    MessageError,
    RequestHead,
    ResponseHead,
    parse_request_head,
    parse_response_head,
)
from agentspec_usage.sidecar.proxy.settings import Upstream
from agentspec_usage.sidecar.proxy.usage_asking import (
    ChunkRemoval,
    UsageAsking,
    blames_asking,
    chunk_removal,
)
from tests.fakes.hand_clock import HandClock

UPSTREAM = Upstream("openai", "https://api.example")
EVENT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
USAGE = (
    b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'
)
DONE = b"data: [DONE]\n\n"


def request_head(lines: bytes = b"") -> RequestHead:
    return parse_request_head(b"POST /v1/chat/completions HTTP/1.1\r\nHost: h" + lines)


def answer_head(lines: bytes = b"", status: bytes = b"200 OK") -> ResponseHead:
    return parse_response_head(b"HTTP/1.1 " + status + lines)


def asked(asking: UsageAsking, model: str = "gpt-4o", path: str = "/v1/chat/completions") -> bool:
    body = b'{"model":"%b","stream":true}' % model.encode()
    route = find_route("openai", "POST", path)
    assert route is not None
    return asking.asking(UPSTREAM, read_request(route, body), request_head(), body) is not None


def test_only_an_api_that_knows_the_question_is_asked() -> None:
    asking = UsageAsking(HandClock())
    assert asked(asking)
    assert not asked(asking, path="/v1/responses")
    assert asking.asking(UPSTREAM, None, request_head(), b"{}") is None


def test_who_refused_is_not_asked_again_for_an_hour() -> None:
    clock = HandClock()
    asking = UsageAsking(clock)
    route = find_route("openai", "POST", "/v1/chat/completions")
    assert route is not None
    asking.refused(UPSTREAM, read_request(route, b'{"model":"gpt-4o","stream":true}'))
    assert not asked(asking)
    assert asked(asking, "gpt-5")
    clock.pass_seconds(3599)
    assert not asked(asking)
    clock.pass_seconds(2)
    assert asked(asking)


def test_what_is_remembered_is_bounded() -> None:
    asking = UsageAsking(HandClock())
    route = find_route("openai", "POST", "/v1/chat/completions")
    assert route is not None
    for number in range(1025):
        asking.refused(UPSTREAM, read_request(route, b'{"model":"m%d"}' % number))
    assert asked(asking, "m0"), "the oldest is forgotten"
    assert not asked(asking, "m1")
    assert not asked(asking, "m1024")


@pytest.mark.parametrize(
    ("body", "lines", "blamed"),
    [
        pytest.param(b"unknown field stream_options", b"", True, id="its name"),
        pytest.param(b"include_usage is not supported", b"", True, id="its member's name"),
        pytest.param(b"temperature is too high", b"", False, id="something else"),
        pytest.param(
            gzip.compress(b"temperature"), b"\r\nContent-Encoding: gzip", False, id="compressed"
        ),
        pytest.param(b"\x00", b"\r\nContent-Encoding: gzip", True, id="damaged"),
        pytest.param(b"\x00", b"\r\nContent-Encoding: x-new", True, id="a coding of tomorrow"),
    ],
)
def test_a_refusal_is_blamed_on_the_question_by_its_words(
    body: bytes, lines: bytes, blamed: bool
) -> None:
    head = answer_head(lines, b"400 Bad Request")
    assert blames_asking(head, body, STANDARD_DECODERS) is blamed


@pytest.mark.parametrize(
    ("lines", "status", "removed"),
    [
        pytest.param(b"text/event-stream", b"200 OK", True, id="a stream"),
        pytest.param(b"Text/Event-Stream; charset=utf-8", b"200 OK", True, id="with parameters"),
        pytest.param(b"application/json", b"200 OK", False, id="no stream"),
        pytest.param(b"text/event-stream", b"500 Oops", False, id="a failure"),
        pytest.param(
            b"text/event-stream\r\nContent-Encoding: x-new", b"200 OK", False, id="unreadable"
        ),
    ],
)
def test_only_a_stream_of_events_loses_one(lines: bytes, status: bytes, removed: bool) -> None:
    head = answer_head(b"\r\nContent-Type: " + lines, status)
    assert (chunk_removal(head, STANDARD_DECODERS) is not None) is removed


@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
def test_the_answer_to_the_question_is_taken_out_byte_by_byte(coding: str) -> None:
    plain = EVENT + USAGE + DONE
    data = {"": plain, "gzip": gzip.compress(plain), "deflate": zlib.compress(plain)}[coding]
    removal = ChunkRemoval(coding, STANDARD_DECODERS)
    out = b"".join(removal.feed(data[i : i + 1]) for i in range(len(data)))
    assert out + removal.end() == EVENT + DONE


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"not gzip", id="damaged"),
        pytest.param(gzip.compress(b"\n" * 2**26), id="a bomb"),
    ],
)
def test_a_compressed_stream_that_cannot_be_passed_on_is_refused(data: bytes) -> None:
    removal = ChunkRemoval("gzip", STANDARD_DECODERS)
    with pytest.raises(MessageError):
        removal.feed(data)
