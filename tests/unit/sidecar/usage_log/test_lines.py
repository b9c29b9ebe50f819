"""A line has exactly the fields of the contract, in the provider's own meaning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentspec_usage.extraction.values import ReadCall
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sidecar.calls import ProxiedRequest
from agentspec_usage.sidecar.usage_log.lines import usage_line
from tests.unit.sidecar.proxied import CHAT, WALL, a_call, a_request


def line(
    call: ReadCall, request: ProxiedRequest | None = None, *, response_bytes: int | None = 512
) -> dict[str, Any]:
    text = usage_line(
        request or a_request(),
        call,
        at=WALL,
        status=200,
        streaming=True,
        duration_ms=250,
        response_bytes=response_bytes,
    )
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1
    return dict(json.loads(text))


def test_a_line_has_the_fields_of_the_contract() -> None:
    assert line(a_call(100, 20, counts={"cache_read": 60, "reasoning": 5})) == {
        "_schema": "token-usage/v1.0.0",
        "timestamp": "2026-09-21T14:13:20.000Z",
        "event": "token_usage",
        "request_id": "r-1",
        "provider": "openai",
        "model": "gpt-5",
        "path": CHAT,
        "status": 200,
        "streaming": True,
        "input_tokens": 100,
        "input_tokens_include_cache": True,
        "output_tokens": 20,
        "cache_read_tokens": 60,
        "cache_write_tokens": 0,
        "reasoning_tokens": 5,
        "duration_ms": 250,
        "response_bytes": 512,
    }


def test_input_is_what_the_provider_calls_so() -> None:
    call = a_call(
        627,
        97,
        key=SeriesKey("anthropic", "claude-sonnet-4-5"),
        counts={"cache_write_5m": 100, "cache_write_1h": 23},
        input_includes_cache=False,
    )
    told = line(call)
    assert (told["input_tokens"], told["cache_write_tokens"]) == (504, 123)
    assert told["input_tokens_include_cache"] is False


@pytest.mark.parametrize(
    ("response_model", "request_model", "shown"),
    [
        ("gpt-5-2026-01-01", "gpt-5", "gpt-5-2026-01-01"),
        ("", "gpt-5", "gpt-5"),
        ("", "", "unknown"),
    ],
)
def test_the_model_is_the_response_s_else_the_request_s(
    response_model: str, request_model: str, shown: str
) -> None:
    call = a_call(key=SeriesKey("openai", response_model), request_model=request_model)
    assert line(call)["model"] == shown


def test_an_aborted_call_is_marked() -> None:
    assert line(a_call(status=CallStatus.ABORTED))["aborted"] is True
    assert "aborted" not in line(a_call())


def test_names_of_strangers_stay_on_their_line() -> None:
    told = line(
        a_call(key=SeriesKey("openai", "m\n" + "x" * 300)), a_request(path="/p\r\n{" + "y" * 300)
    )
    assert told["model"].startswith("m?x")
    assert len(told["model"]) <= 128
    assert told["path"].startswith("/p??{")
    assert len(told["path"]) <= 128
