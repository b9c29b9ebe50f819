"""A push is judged as a whole strictly, event by event leniently."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sidecar.audit.entry import Behavior, ModelCall
from agentspec_usage.sidecar.audit.events import EventPush, decode_push

UNMETERED = TokenCounts(calls=1, unmetered_calls=1)


def decoded(*events: Any, **fields: Any) -> EventPush:
    body = {"requestId": "r", "agentName": "gymcoach", "events": list(events), **fields}
    return decode_push(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("event", "behavior"),
    [
        pytest.param(
            {"type": "guardrail", "guardrailType": "pii-detector", "invoked": True, "score": 0.5},
            Behavior(guardrails=("pii-detector",)),
            id="a guardrail that ran",
        ),
        pytest.param(
            {"type": "guardrail", "guardrailType": "pii-detector", "invoked": False},
            Behavior(),
            id="a guardrail that did not",
        ),
        pytest.param(
            {"type": "tool", "name": "plan-workout", "success": True, "latencyMs": 82.5},
            Behavior(tools=("plan-workout",)),
            id="a tool",
        ),
        pytest.param(
            {"type": "model", "modelId": "groq/llama-3.3-70b", "tokenCount": 850},
            Behavior(model_calls=(ModelCall("groq/llama-3.3-70b", 850),)),
            id="a model",
        ),
        pytest.param({"type": "memory", "backend": "redis"}, Behavior(), id="memory"),
    ],
)
def test_an_event_says_how_the_agent_behaved(event: dict[str, Any], behavior: Behavior) -> None:
    push = decoded(event)
    assert push.behavior == behavior
    assert push.not_understood == 0
    assert (push.request_id, push.agent_name) == ("r", "gymcoach")


@pytest.mark.parametrize(
    ("fields", "key", "counts"),
    [
        pytest.param(
            {"modelId": "openai/gpt-5", "promptTokens": 7, "completionTokens": 3},
            SeriesKey("openai", "gpt-5"),
            TokenCounts(input=7, output=3, calls=1),
            id="both",
        ),
        pytest.param(
            {"modelId": "gpt-5", "completionTokens": 3},
            SeriesKey("", "gpt-5"),
            TokenCounts(output=3, calls=1),
            id="one of them",
        ),
        pytest.param(
            {"modelId": "openai/gpt-5", "tokenCount": 40_000},
            SeriesKey("openai", "gpt-5", context_class=32000),
            TokenCounts(input=40_000, calls=1),
            id="a total alone",
        ),
        pytest.param(
            {"modelId": "openai/gpt-5", "tokenCount": 999, "promptTokens": 0},
            SeriesKey("openai", "gpt-5"),
            TokenCounts(calls=1),
            id="a total beside its parts",
        ),
        pytest.param(
            {"modelId": "openai/ft:gpt/x"},
            SeriesKey("openai", "ft:gpt/x"),
            UNMETERED,
            id="nothing",
        ),
        *(
            pytest.param(
                {"modelId": "openai/gpt-5", "promptTokens": wrong, "completionTokens": 3},
                SeriesKey("openai", "gpt-5"),
                UNMETERED,
                id=f"{wrong!r} is no count",
            )
            for wrong in (-1, 1.0, True, "7", [7])
        ),
    ],
)
def test_a_model_event_is_one_call(
    fields: dict[str, Any], key: SeriesKey, counts: TokenCounts
) -> None:
    assert decoded({"type": "model", **fields}).used == ((key, counts),)


@pytest.mark.parametrize(
    "event",
    [
        None,
        "bad",
        {},
        {"type": 42},
        {"type": "model"},
        {"type": "model", "modelId": 1},
        {"type": "tool", "name": None},
        {"type": "guardrail", "invoked": True},
        {"type": "of-tomorrow", "name": "x"},
    ],
    ids=repr,
)
def test_an_event_that_is_not_understood_costs_the_others_nothing(event: Any) -> None:
    push = decoded(event, {"type": "tool", "name": "search"}, event)
    assert push.behavior == Behavior(tools=("search",))
    assert push.not_understood == 2
    assert push.used == ()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"[]", "", id="no object"),
        pytest.param(b'{"events":[]}', "requestId", id="no request"),
        pytest.param(b'{"requestId":"","events":[]}', "requestId", id="an empty request id"),
        pytest.param(b'{"requestId":7,"events":[]}', "requestId", id="a number as request id"),
        pytest.param(
            b'{"requestId":"%b","events":[]}' % (b"r" * 257), "requestId", id="a long request id"
        ),
        pytest.param(b'{"requestId":"r"}', "events", id="no events"),
        pytest.param(b'{"requestId":"r","events":{}}', "events", id="events that are no list"),
        pytest.param(
            b'{"requestId":"r","events":[%b]}' % b",".join([b"0"] * 501), "events", id="too many"
        ),
        pytest.param(b'{"requestId":"r","requestId":"s","events":[]}', "", id="a key twice"),
        pytest.param(
            b'{"requestId":"r","events":[%d]}' % (MAX_COUNT + 1), "", id="a number too large"
        ),
        pytest.param(b'{"requestId":"r","events":[' + b"[" * 5000, "", id="too deep"),
    ],
)
def test_a_body_that_is_no_push_is_refused_by_name(body: bytes, path: str) -> None:
    with pytest.raises(WireError) as refused:
        decode_push(body)
    assert refused.value.path == path


def test_as_many_events_as_allowed_are_all_there() -> None:
    push = decoded(*[{"type": "tool", "name": "t"}] * 500)
    assert len(push.behavior.tools) == 500


def test_names_are_cut_and_made_showable() -> None:
    push = decoded(
        {"type": "tool", "name": "a\x1b[2J" + "b" * 500},
        agentName="n" * 63 + "\nsecond",
    )
    assert push.agent_name == "n" * 63 + "?"
    assert push.behavior.tools[0].startswith("a?[2J")
    assert len(push.behavior.tools[0].encode()) <= 128


@pytest.mark.parametrize("name", [None, 5, ["x"]], ids=repr)
def test_a_push_without_an_agent_s_name_is_taken(name: Any) -> None:
    assert decoded(agentName=name).agent_name == ""
