"""Bodies with usage events: decoded as they are meant, or refused by the name of the field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.usage_event import UsageEvent
from agentspec_usage.wire.events import MAX_EVENTS, decode_events

NOW = 1_790_000_000_000


def decoded(*events: Any) -> tuple[UsageEvent, ...]:
    return decode_events(json.dumps({"events": events}).encode(), "agt_a", NOW)


def test_an_event_says_everything_under_its_published_names() -> None:
    (found,) = decoded(
        {
            "sessionId": "s",
            "runId": "r",
            "parentRunId": "p",
            "eventId": "e",
            "model": "gpt-4o",
            "provider": "openai",
            "inputTokens": 100,
            "outputTokens": 20,
            "totalTokens": 120,
            "cacheReadTokens": 30,
            "cacheWriteTokens": 5,
            "reasoningTokens": 7,
            "toolCalls": 3,
            "timestamp": "2026-11-01T08:30:00.125+01:00",
        }
    )
    counts = TokenCounts(
        input=100, output=20, cache_read=30, cache_write_unspecified=5, reasoning=7, calls=1
    )
    assert found == UsageEvent(
        "agt_a", 1_793_518_200_125, "openai", "gpt-4o", counts, 120, 3, "s", "r", "p", "e"
    )


def test_an_event_needs_its_model_alone() -> None:
    (found,) = decoded({"model": "gpt-4o"})
    assert (found.at, found.session, found.provider) == (NOW, "", "")
    assert found.counts == TokenCounts(calls=1, unmetered_calls=1)


def test_whose_events_they_are_is_not_in_the_body() -> None:
    (found,) = decoded({"model": "gpt-4o", "agentId": "agt_b", "agent": "agt_b"})
    assert found.agent_id == "agt_a"


@pytest.mark.parametrize(
    ("said", "named"),
    [
        pytest.param({"model": "openai/gpt-4o"}, ("openai", "gpt-4o"), id="with its provider"),
        pytest.param({"model": "gpt-4o"}, ("", "gpt-4o"), id="bare"),
        pytest.param(
            {"model": "openai/gpt-4o", "provider": "openai"}, ("openai", "gpt-4o"), id="twice"
        ),
        pytest.param(
            {"model": "meta/llama", "provider": "groq"}, ("groq", "meta/llama"), id="with a maker"
        ),
        pytest.param({"model": "gpt-4o/"}, ("", "gpt-4o/"), id="with nothing behind the slash"),
    ],
)
def test_a_model_is_named_with_or_without_its_provider(
    said: dict[str, str], named: tuple[str, str]
) -> None:
    (found,) = decoded(said)
    assert (found.provider, found.model) == named


@pytest.mark.parametrize(
    ("event", "path"),
    [
        pytest.param({}, "events[1].model", id="no model"),
        pytest.param({"model": ""}, "events[1].model", id="an empty model"),
        pytest.param({"model": "a\nb"}, "events[1].model", id="a model of two lines"),
        pytest.param({"model": "m", "inputTokens": -1}, "events[1].inputTokens", id="negative"),
        pytest.param({"model": "m", "inputTokens": 1.5}, "events[1].inputTokens", id="a fraction"),
        pytest.param({"model": "m", "inputTokens": True}, "events[1].inputTokens", id="a bool"),
        pytest.param({"model": "m", "totalTokens": "9"}, "events[1].totalTokens", id="a string"),
        pytest.param({"model": "m", "toolCalls": -1}, "events[1].toolCalls", id="tool calls"),
        pytest.param({"model": "m", "sessionId": "x" * 129}, "events[1].sessionId", id="too long"),
        pytest.param({"model": "m", "runId": "\u0000"}, "events[1].runId", id="a NUL"),
        pytest.param({"model": "m", "timestamp": "yesterday"}, "events[1].timestamp", id="time"),
        pytest.param("an event", "events[1]", id="no object"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_of_the_body_is_taken(event: Any, path: str) -> None:
    with pytest.raises(WireError) as caught:
        decoded({"model": "gpt-4o"}, event)
    assert caught.value.path == path


def test_a_session_that_no_database_can_hold_is_refused() -> None:
    body = b'{"events": [{"model": "m", "sessionId": "\\ud800"}]}'
    with pytest.raises(WireError, match=r"events\[0\]\.sessionId"):
        decode_events(body, "agt_a", NOW)


def test_a_body_has_as_many_events_as_it_may_and_no_more() -> None:
    assert len(decoded(*[{"model": "m"}] * MAX_EVENTS)) == MAX_EVENTS
    with pytest.raises(WireError, match="events"):
        decoded(*[{"model": "m"}] * (MAX_EVENTS + 1))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"events": {}}', b"\xff", b"{"])
def test_what_is_no_body_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        decode_events(body, "agt_a", NOW)
