"""How an exchange ends decides what is counted: never zero for what is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentspec_usage.extraction.exchange import ExchangeReader
from agentspec_usage.extraction.framing import ExtractionLimits
from agentspec_usage.extraction.request import RequestFacts, read_request
from agentspec_usage.extraction.routing import find_route
from agentspec_usage.extraction.values import Extraction
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus
from tests.fixtures.bodies import anthropic, google, openai
from tests.fixtures.bodies.body import document, sse
from tests.unit.extraction.reading_bodies import pieces

SSE = "text/event-stream"


def facts(
    path: str, request: dict[str, Any] | None = None, *, provider: str = "openai", get: bool = False
) -> RequestFacts:
    route = find_route(provider, "GET" if get else "POST", path)
    assert route is not None
    return read_request(route, document(request or {}))


CHAT = facts("/v1/chat/completions", {"model": "gpt-5", "stream": True})
MESSAGES = facts("/v1/messages", {"stream": True}, provider="anthropic")


def read(
    request: RequestFacts,
    answer: bytes,
    media: str = "application/json",
    *,
    status: int = 200,
    aborted: bool = False,
    headers: tuple[tuple[str, str], ...] = (),
    limits: ExtractionLimits | None = None,
) -> Extraction:
    reader = ExchangeReader(
        request, status, [("content-type", media), *headers], limits=limits or ExtractionLimits()
    )
    reader.feed(answer)
    return reader.end(aborted=aborted)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 422, 429])
def test_what_was_refused_used_nothing(status: int) -> None:
    found = read(CHAT, document({"error": {"message": "no"}}), status=status)
    assert (found.calls, found.unmetered) == ((), False)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_what_failed_at_the_provider_is_unmetered(status: int) -> None:
    # Also where the error repeats a usage: whose it is, nobody knows.
    found = read(CHAT, document(openai.chat), status=status)
    assert (found.calls, found.unmetered, found.reason) == ((), True, f"status {status}")


@pytest.mark.parametrize(
    ("answer", "media", "reason"),
    [
        pytest.param(b"", "application/json", "no usage in the response", id="nothing"),
        pytest.param(b"{}", "application/json", "no usage in the response", id="an empty object"),
        pytest.param(b'{"usage": null}', "application/json", "no usage in the response", id="null"),
        pytest.param(b'{"usage": {}}', "application/json", "no usage in the response", id="empty"),
        pytest.param(b"ID3\x04\0\0", "audio/mpeg", "the response is no JSON", id="sound"),
        pytest.param(b"<html>", "text/html", "the response is no JSON", id="a page"),
        pytest.param(b'{"id": "a', "application/json", "unreadable: truncated", id="cut"),
        pytest.param(
            sse(*openai.chunks[:-1], done=True), SSE, "no usage in the response", id="not asked"
        ),
        pytest.param(
            b'{"usage": {"prompt_tokens": -1}}',
            "application/json",
            "prompt_tokens: expected a whole number from 0 to 9007199254740991",
            id="no count",
        ),
    ],
)
def test_a_success_without_usage_is_unmetered(answer: bytes, media: str, reason: str) -> None:
    found = read(CHAT, answer, media)
    assert (found.calls, found.unmetered) == ((), True)
    if reason != "unreadable: truncated":
        assert found.reason == reason
    else:
        assert found.reason.startswith("unreadable: ")


@pytest.mark.parametrize("status", [200, 426, 503])
def test_an_answer_that_opened_no_websocket_used_nothing(status: int) -> None:
    # A list of responses has the path of the WebSocket.
    listed = {"object": "list", "data": [openai.response], "usage": openai.response_usage}
    found = read(facts("/v1/responses", get=True), document(listed), status=status)
    assert (found.calls, found.unmetered) == ((), False)


def test_a_stream_that_broke_after_its_usage_counts_whole() -> None:
    found = read(CHAT, sse(*openai.chunks), SSE, aborted=True)
    assert [call.status for call in found.calls] == [CallStatus.OK]


def test_a_stream_that_broke_before_its_usage_is_unmetered() -> None:
    found = read(CHAT, sse(*openai.chunks[:2]), SSE, aborted=True)
    assert (found.calls, found.reason) == ((), "ended before its usage")
    assert found.response_model == "gpt-5-2025-08-07"


def test_running_totals_that_broke_are_a_lower_bound() -> None:
    (call,) = read(CHAT, sse(*openai.vllm_running[:2]), SSE, aborted=True).calls
    assert call.status is CallStatus.ABORTED
    assert call.counts == TokenCounts(input=31, output=2, calls=1)


@pytest.mark.parametrize("seen", range(1, len(anthropic.events) + 1))
def test_a_broken_messages_stream_keeps_what_was_said_until_then(seen: int) -> None:
    stream = sse(*anthropic.events[:seen], named=True)
    (call,) = read(MESSAGES, stream, SSE, aborted=True).calls
    whole = seen == len(anthropic.events)
    assert call.status is (CallStatus.OK if whole else CallStatus.ABORTED)
    assert call.counts.input == 110
    assert call.counts.output == (42 if seen >= 7 else 5 if seen == 6 else 1)


def test_a_messages_stream_whose_start_was_lost_is_a_lower_bound() -> None:
    (call,) = read(MESSAGES, sse(*anthropic.events[3:], named=True), SSE).calls
    assert call.status is CallStatus.ABORTED
    assert call.counts == TokenCounts(output=42, calls=1)


def test_a_gemini_stream_that_broke_keeps_the_last_totals() -> None:
    request = facts("/v1beta/models/gemini-2.5-flash:streamGenerateContent", provider="gemini")
    answer = b"[" + document(google.chunks[0]) + b"," + document(google.chunks[1]) + b","
    (call,) = read(request, answer, aborted=True).calls
    assert call.status is CallStatus.ABORTED
    assert call.counts == TokenCounts(input=10, output=9, reasoning=7, calls=1)


def test_an_event_that_is_no_json_costs_only_itself() -> None:
    stream = b"data: {nonsense usage: {\n\n" + sse(*openai.chunks, done=True)
    (call,) = read(CHAT, stream, SSE).calls
    assert call.counts == openai.chat_counts


def test_a_body_under_a_wrong_name_is_read_by_how_it_begins() -> None:
    whole = read(CHAT, document(openai.chat))
    assert read(CHAT, document(openai.chat), SSE).calls == whole.calls
    assert read(CHAT, document(openai.chat), "text/plain").calls == whole.calls
    stream = sse(*openai.chunks, done=True)
    assert read(CHAT, stream, "application/json").calls == read(CHAT, stream, SSE).calls


def test_an_unknown_coding_is_unmetered_and_says_so() -> None:
    found = read(CHAT, b"\x0b\x02", headers=(("content-encoding", "br"),))
    assert (found.unmetered, found.reason) == (True, "unreadable: unsupported")


def test_a_response_larger_than_its_bounds_still_shows_its_usage() -> None:
    large = {**openai.chat, "choices": [{"message": {"content": "x" * 200_000}}]}
    small = ExtractionLimits(event_bytes=10_000)
    (call,) = read(CHAT, document(large), limits=small).calls
    assert call.counts == openai.chat_counts


def test_contradictions_are_counted_and_the_raw_usage_is_kept() -> None:
    said = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 9, "new": {"tokens": 1}}
    found = read(CHAT, document({"usage": said}))
    assert found.mismatches == 1
    assert found.unknown_fields == ("new.tokens",)
    assert found.calls[0].raw == document(said).decode()


def test_names_of_unknown_fields_are_bounded_and_hold_no_content() -> None:
    strange = {f"field_{number:03}": 1 for number in range(100)}
    strange["a secret: sk-123 \n"] = 1
    found = read(CHAT, document({"usage": {"prompt_tokens": 1, "total_tokens": 1, **strange}}))
    assert found.unknown_fields[0] == "?"
    assert len(found.unknown_fields) == 16


def test_a_raw_usage_over_its_bound_is_left_out() -> None:
    said = {"prompt_tokens": 1, "total_tokens": 1, "padding": "x" * 3000}
    (call,) = read(CHAT, document({"usage": said})).calls
    assert call.raw == ""


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(("x-litellm-cache-key", "a1b2"), id="litellm"),
        pytest.param(("cf-aig-cache-status", "HIT"), id="cloudflare"),
        pytest.param(("helicone-cache", "hit"), id="helicone"),
        pytest.param(("x-portkey-cache-status", "SEMANTIC HIT"), id="portkey"),
    ],
)
def test_what_a_gateway_repeats_used_no_tokens(header: tuple[str, str]) -> None:
    found = read(CHAT, document(openai.chat), headers=(header,))
    (call,) = found.calls
    assert found.served_from_cache
    assert call.counts == TokenCounts(calls=1)
    assert dict(call.requests) == {"served_from_cache": 1}
    assert '"prompt_tokens":1000' in call.raw


@pytest.mark.parametrize("status", ["MISS", "", "DISABLED"])
def test_a_gateway_that_found_nothing_changes_nothing(status: str) -> None:
    found = read(CHAT, document(openai.chat), headers=(("cf-aig-cache-status", status),))
    assert not found.served_from_cache
    assert found.calls[0].counts == openai.chat_counts


def test_a_background_response_is_pending_until_it_is_read() -> None:
    begun = {**openai.begun, "status": "queued"}
    path = f"/v1/responses/{openai.response['id']}"

    asked = read(facts("/v1/responses", {"background": True}), document(begun))
    assert (asked.calls, asked.unmetered) == ((), False)
    assert asked.pending_id == openai.response["id"]

    polled = read(facts(path, get=True), document(begun))
    assert (polled.calls, polled.unmetered, polled.retrieval) == ((), False, True)

    done = read(facts(path, get=True), document(openai.response))
    assert [call.counts for call in done.calls] == [openai.response_counts]
    assert done.retrieval
    assert done.calls[0].retrievable


def test_a_response_that_is_still_worked_on_shows_no_usage_yet() -> None:
    # What it would count now it would not count again at its end.
    partial = {**google.interaction, "status": "in_progress"}
    path = f"/v1beta/interactions/{google.interaction['id']}"
    found = read(facts(path, provider="gemini", get=True), document(partial))
    assert (found.calls, found.unmetered) == ((), False)


def test_a_background_stream_that_broke_is_pending() -> None:
    request = facts("/v1/responses", {"stream": True, "background": True})
    found = read(request, sse(*openai.events("response.completed")[:2]), SSE, aborted=True)
    assert (found.pending_id, found.unmetered) == (openai.response["id"], False)


def test_a_background_request_that_failed_at_once_is_unmetered() -> None:
    request = facts("/v1/responses", {"background": True})
    failed = {**openai.response, "status": "failed", "usage": None}
    found = read(request, document(failed))
    assert (found.pending_id, found.unmetered) == ("", True)


def test_a_broken_stream_of_a_response_in_the_foreground_is_not_pending() -> None:
    request = facts("/v1/responses", {"stream": True})
    found = read(request, sse(*openai.events("response.completed")[:2]), SSE, aborted=True)
    assert (found.pending_id, found.unmetered) == ("", True)


@pytest.mark.parametrize("status", [404, 500])
def test_a_retrieval_that_fails_used_nothing(status: int) -> None:
    found = read(facts("/v1/responses/resp_1", get=True), b"{}", status=status)
    assert (found.calls, found.unmetered) == ((), False)


@pytest.mark.parametrize(
    ("path", "request_body", "kept"),
    [
        pytest.param("/v1/responses", {}, True, id="responses are kept"),
        pytest.param("/v1/responses", {"store": False}, False, id="unless the request says no"),
        pytest.param("/v1/chat/completions", {}, False, id="chats are not"),
        pytest.param("/v1/chat/completions", {"store": True}, True, id="unless it says yes"),
    ],
)
def test_what_can_be_read_again_is_marked(
    path: str, request_body: dict[str, Any], kept: bool
) -> None:
    answer = openai.chat if "chat" in path else openai.response
    (call,) = read(facts(path, request_body), document(answer)).calls
    assert call.retrievable is kept


def test_bytes_are_counted_of_every_answer() -> None:
    reader = ExchangeReader(CHAT, 404, [])
    for piece in pieces(b"x" * 1000, 33):
        reader.feed(piece)
    assert replace(reader.end(), response_bytes=0) == Extraction()
