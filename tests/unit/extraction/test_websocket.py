"""Many calls on one connection, each told once, with its own usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from openai.types.live import ServerEvent
from openai.types.realtime import RealtimeServerEvent
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from agentspec_usage.extraction.request import read_request
from agentspec_usage.extraction.routing import find_route
from agentspec_usage.extraction.values import ReadCall
from agentspec_usage.extraction.websocket import SocketReader
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus
from tests.fixtures.bodies import openai
from tests.fixtures.bodies.body import document

# https://platform.openai.com/docs/api-reference/realtime-server-events
SESSION = {
    "type": "session.created",
    "event_id": "event_C9G5RJeJ2gF77mV7f2B1j",
    "session": {
        "type": "realtime",
        "object": "realtime.session",
        "id": "sess_C9G5QPteg4UIbotdKLoYQ",
        "model": "gpt-realtime-2025-08-28",
        "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}},
    },
}
USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}


def done(response_id: str, usage: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "type": "response.done",
        "event_id": "event_CCXHxcMy86rrKhBLDdqCh",
        "response": {
            "object": "realtime.response",
            "id": response_id,
            "status": "completed",
            "output": [],
            "usage": usage,
        },
    }


def begun(response_id: str) -> dict[str, Any]:
    return {
        "type": "response.created",
        "event_id": "event_C9G8pqbTEddBSIxbBN6Os",
        "response": {
            "object": "realtime.response",
            "id": response_id,
            "status": "in_progress",
            "output": [],
            "usage": None,
        },
    }


HEARD = {
    "type": "conversation.item.input_audio_transcription.completed",
    "event_id": "event_CCXGRvtUVrax5SJAnNOWZ",
    "item_id": "item_CCXGQ4e1ht4cOraEYcuR2",
    "content_index": 0,
    "transcript": "Hey",
    "usage": {
        "type": "tokens",
        "total_tokens": 22,
        "input_tokens": 13,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 13},
        "output_tokens": 9,
    },
}
SPOKE = {
    "type": "response.output_audio.delta",
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "UklGRg",
}
FIRST, SECOND = "resp_CCXHw0UJld10EzIUXQCNh", "resp_CCXHx9QJld10EzIUXQCNi"


def reader(path: str, provider: str = "openai") -> SocketReader:
    route = find_route(provider, "GET", path)
    assert route is not None
    return SocketReader(read_request(route, b""))


def told(socket: SocketReader, *messages: Mapping[str, Any]) -> list[ReadCall]:
    return [call for message in messages for call in socket.from_server(document(message))]


def test_realtime_tells_each_response_and_what_another_model_wrote_down() -> None:
    messages = [SESSION, begun(FIRST), SPOKE, HEARD, done(FIRST, USAGE), done(SECOND, USAGE)]
    for message in messages:
        TypeAdapter(RealtimeServerEvent).validate_python(message)
    socket = reader("/v1/realtime?model=gpt-realtime")

    heard, first, second = told(socket, *messages)

    counts = TokenCounts(input=132, output=121, cache_read=64, audio_in=13, audio_out=91, calls=1)
    assert (first.counts, second.counts) == (counts, counts)
    assert (first.response_id, second.response_id) == (FIRST, SECOND)
    assert first.key.model == "gpt-realtime-2025-08-28"
    assert first.key.operation == "realtime"
    assert heard.counts == TokenCounts(input=13, output=9, audio_in=13, calls=1)
    assert (heard.key.model, heard.key.operation) == ("gpt-4o-transcribe", "transcription")
    assert heard.response_id == ""
    assert socket.end().calls == ()


def test_a_response_that_was_begun_and_never_done_is_unmetered() -> None:
    socket = reader("/v1/realtime")
    assert told(socket, SESSION, begun(FIRST)) == []
    (call,) = socket.end(aborted=True).calls
    assert call.status is CallStatus.UNMETERED
    assert call.counts == TokenCounts(calls=1, unmetered_calls=1)
    assert (call.response_id, call.key.model) == (FIRST, "gpt-realtime-2025-08-28")


def test_a_response_that_is_done_without_usage_is_unmetered() -> None:
    (call,) = told(reader("/v1/realtime"), SESSION, done(FIRST, None))
    assert call.status is CallStatus.UNMETERED


def test_responses_on_a_connection_are_told_one_by_one() -> None:
    events = openai.events("response.completed")
    for event in events:
        TypeAdapter(ResponseStreamEvent).validate_python(event)
    steered = {**openai.response, "id": f"{openai.response['id']}2", "status": "incomplete"}
    socket = reader("/v1/responses")

    calls = told(socket, *events, {"type": "response.incomplete", "response": steered})

    assert [call.counts for call in calls] == [openai.response_counts] * 2
    assert [call.response_id for call in calls] == [openai.response["id"], steered["id"]]
    assert calls[0].key.model == "gpt-5.6-sol"
    assert socket.end().calls == ()


def test_live_tells_seconds_that_are_cumulative_and_responses_beside_them() -> None:
    seconds = [
        {"type": "session.usage.updated", "event_id": f"e{at}", "usage": {"seconds": at}}
        for at in (3.5, 9.2, 12.1)
    ]
    nested = {
        "type": "response.event",
        "event_id": "e",
        "delegation_id": None,
        "event": openai.events("response.completed")[-1],
    }
    for message in [*seconds, nested]:
        TypeAdapter(ServerEvent).validate_python(message)
    socket = reader("/v1/live/sessions")
    started = {"type": "session.started", "session": {"model": "gpt-live"}}

    (delegated,) = told(socket, started, *seconds[:2], nested, seconds[2])
    (session,) = socket.end().calls

    assert delegated.counts == openai.response_counts
    assert session.counts == TokenCounts(calls=1)
    assert dict(session.requests) == {"seconds": 13}
    assert session.key.model == "gpt-live"


# https://ai.google.dev/api/live
TURN = {"serverContent": {"modelTurn": {"parts": [{"text": "Hi"}]}}}
TURN_USAGE = {"promptTokenCount": 20, "responseTokenCount": 7, "totalTokenCount": 27}
LIVE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(
            [TURN, {"serverContent": {"turnComplete": True}, "usageMetadata": TURN_USAGE}],
            id="with the end of the turn",
        ),
        pytest.param(
            [TURN, {"serverContent": {"turnComplete": True}}, {"usageMetadata": TURN_USAGE}],
            id="after the end of the turn",
        ),
        pytest.param(
            [
                {**TURN, "usageMetadata": {**TURN_USAGE, "responseTokenCount": 3}},
                {"usageMetadata": TURN_USAGE},
                {"serverContent": {"turnComplete": True}},
            ],
            id="several times, of which the last counts",
        ),
    ],
)
def test_geminis_turns_are_calls(messages: list[dict[str, Any]]) -> None:
    socket = reader(LIVE, "gemini")
    socket.from_client('{"setup": {"model": "models/gemini-live-2.5-flash"}}')

    calls = told(socket, {"setupComplete": {}}, *messages, *messages)

    assert [call.counts for call in calls] == [TokenCounts(input=20, output=7, calls=1)] * 2
    assert {call.status for call in calls} == {CallStatus.OK}
    assert {call.key.model for call in calls} == {"gemini-live-2.5-flash"}
    assert socket.end().calls == ()


def test_a_turn_of_gemini_that_broke_is_a_lower_bound() -> None:
    socket = reader(LIVE, "gemini")
    assert told(socket, {**TURN, "usageMetadata": TURN_USAGE}) == []
    (call,) = socket.end(aborted=True).calls
    assert call.status is CallStatus.ABORTED
    assert call.counts == TokenCounts(input=20, output=7, calls=1)


def test_a_message_that_is_no_json_is_told_at_the_end() -> None:
    socket = reader("/v1/realtime")
    assert socket.from_server('{"type":"response.done"') == ()
    assert socket.end().unmetered
