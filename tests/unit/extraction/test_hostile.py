"""Whatever an upstream sends: no exception, counts within their laws, and memory within bounds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.extraction.exchange import ExchangeReader
from agentspec_usage.extraction.request import read_request
from agentspec_usage.extraction.routing import find_route
from agentspec_usage.extraction.surfaces import SURFACES
from agentspec_usage.extraction.values import Extraction, ReadCall
from agentspec_usage.extraction.websocket import SocketReader
from agentspec_usage.metering.counts import COMPONENTS, MAX_COUNT, TokenCounts
from agentspec_usage.metering.record import CallStatus
from tests.fixtures.bodies.body import Body, document, sse
from tests.fixtures.bodies.catalogue import BODIES
from tests.unit.extraction.reading_bodies import pieces, read

NUMBERS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.integers(0, 3000)
    | st.just(MAX_COUNT)
    | st.floats()
    | st.text(max_size=4)
    | st.just([])
    | st.just({})
)
NAMES = sorted(
    {
        name
        for surface in SURFACES.values()
        for path in surface.dialect.fields
        for name in path.split(".")
    }
    | {
        name
        for surface in SURFACES.values()
        for path in surface.dialect.wanted
        for name in path.split(".")
    }
)
VALUES = st.recursive(
    NUMBERS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)


def check(found: Extraction) -> None:
    assert not (found.calls and found.unmetered)
    for call in found.calls:
        check_call(call)


def check_call(call: ReadCall) -> None:
    counts = call.counts
    assert counts.calls == 1
    if call.status is not CallStatus.UNMETERED:
        assert counts.unmetered_calls == 0
    for name in COMPONENTS:
        value = getattr(counts, name)
        assert type(value) is int
        assert 0 <= value <= MAX_COUNT
    assert counts.cache_read + counts.cache_write <= counts.input
    assert counts.audio_in + counts.image_in <= counts.input
    assert counts.reasoning <= counts.output
    assert counts.audio_out + counts.image_out <= counts.output
    assert all(type(number) is int and number >= 0 for number in call.requests.values())
    assert call.provider_input_tokens >= 0


@given(st.sampled_from(BODIES), st.data())
def test_a_damaged_body_is_read_lawfully_however_it_comes(body: Body, data: st.DataObject) -> None:
    answer = bytearray(body.answer)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(answer) - 1))
        cut = data.draw(st.integers(0, 8))
        answer[at : at + cut] = data.draw(
            st.binary(max_size=6)
            | st.sampled_from([b'"', b"{", b"}", b"\n\n", b"null", b"-1", b"9" * 30])
        )
    whole = read(body, (bytes(answer),), aborted=True)
    check(whole)
    assert read(body, pieces(bytes(answer), data.draw(st.integers(1, 40))), aborted=True) == whole


@given(st.sampled_from(BODIES), DOCUMENTS, st.booleans())
def test_any_document_in_the_words_of_the_apis_is_read_lawfully(
    body: Body, said: dict[str, Any], streamed: bool
) -> None:
    answer = sse(said, said) if streamed else document(said)
    check(read(body, (answer,)))
    check(read(body, (document([said, {"type": "message_start", "message": said}]),)))


@given(
    st.sampled_from(
        ["/v1/realtime", "/v1/live/sessions", "/x.GenerativeService.BidiGenerateContent"]
    ),
    st.lists(
        st.builds(
            lambda kind, said: {**said, "type": kind, "response": said, "event": said},
            st.sampled_from(
                [
                    "session.created",
                    "session.usage.updated",
                    "response.created",
                    "response.done",
                    "response.completed",
                    "response.event",
                    "conversation.item.input_audio_transcription.completed",
                ]
            ),
            DOCUMENTS,
        )
        | DOCUMENTS.map(lambda said: {"serverContent": said, "usageMetadata": said}),
        max_size=5,
    ),
)
def test_any_conversation_is_read_lawfully(path: str, messages: list[dict[str, Any]]) -> None:
    route = find_route("openai" if "live" in path else "gemini", "GET", path)
    assert route is not None
    socket = SocketReader(read_request(route, b""))
    for message in messages:
        for call in socket.from_server(document(message)):
            check_call(call)
    for call in socket.end().calls:
        check_call(call)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request(body: bytes) -> None:
    route = find_route("openai", "POST", "/v1/chat/completions")
    assert route is not None
    found = read_request(route, body)
    assert found.output_limit is None or 0 < found.output_limit <= MAX_COUNT


@given(st.text(max_size=80), st.sampled_from(["GET", "POST", "PUT"]))
def test_any_path_has_a_route_or_none(path: str, method: str) -> None:
    route = find_route("openai", method, path)
    assert route is None or len(route.model) <= 256


def large(mebibytes: int, pad: bytes) -> Iterator[bytes]:
    yield b'{"object":"list","data":[{"embedding":"'
    for _ in range(mebibytes * 16):
        yield pad * (65536 // len(pad))
    yield b'"}],"model":"text-embedding-3-large","usage":{"prompt_tokens":8,"total_tokens":8}}'


@pytest.mark.parametrize(
    "pad", [b"AAAAAAAA", b'\\"}]\\\\{[', b"\\u0041\\n"], ids=["plain", "brackets", "escapes"]
)
def test_a_response_of_any_size_takes_constant_memory(pad: bytes) -> None:
    route = find_route("openai", "POST", "/v1/embeddings")
    assert route is not None
    reader = ExchangeReader(read_request(route, b"{}"), 200, [("content-type", "application/json")])
    tracemalloc.start()
    try:
        for piece in large(24, pad):
            reader.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (call,) = reader.end().calls
    assert call.counts == TokenCounts(input=8, calls=1)
    assert peak < 8 * 2**20
