"""Budgets of the running program: refusals that clients understand, counts that survive a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.integration.sdk.provider_server import ProviderServer, provider_server
from tests.integration.sidecar.control.programs import SidecarProgram, sidecar_program

TOKENS = 1500
"""What each call of the provider uses."""


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with provider_server() as running:
        yield running


@pytest.fixture
def sidecar(tmp_path: Path, provider: ProviderServer) -> Iterator[SidecarProgram]:
    limits = {"window": "utc-month", "softTokens": TOKENS, "hardTokens": 3 * TOKENS}
    with sidecar_program(tmp_path, provider.url, budgets=limits) as program:
        yield program


def test_a_client_is_told_why_and_does_not_try_again(
    sidecar: SidecarProgram, provider: ProviderServer
) -> None:
    for _ in range(3):
        assert sidecar.chat().status_code == 200
    client = openai.OpenAI(base_url=sidecar.openai, api_key="any", max_retries=3)
    with client, pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "hi"}])
    assert "hardTokens 4500, used 4500" in refused.value.message
    assert refused.value.code == "budget_exceeded"
    assert len(provider.asked) == 3
    assert sidecar.metric('budget_refused_total{threshold="hardTokens"}') == 1
    assert [entry["statusCode"] for entry in sidecar.get("/audit").json()] == [200] * 3 + [403]
    assert sidecar.get("/usage").json()["totalTokens"] == 3 * TOKENS


def test_an_output_limit_that_does_not_fit_is_refused_and_a_smaller_one_is_not(
    sidecar: SidecarProgram,
) -> None:
    assert sidecar.chat(max_completion_tokens=3 * TOKENS + 1).status_code == 403
    assert sidecar.chat(max_completion_tokens=3 * TOKENS).status_code == 200


def test_what_was_used_and_announced_is_known_after_a_kill(sidecar: SidecarProgram) -> None:
    for _ in range(3):
        assert sidecar.chat().status_code == 200
    sidecar.kill()
    sidecar.start()
    refusal = sidecar.chat()
    assert refusal.status_code == 403
    assert refusal.json()["used"] == 3 * TOKENS
    assert sidecar.terminate() == 0
    announced = [
        line["reason"]
        for line in map(json.loads, sidecar.log.splitlines())
        if line["message"] == "a threshold of the budget was reached"
    ]
    assert announced == ["softTokens", "hardTokens"]


def test_a_threshold_is_heard_by_who_listens(sidecar: SidecarProgram) -> None:
    with httpx.stream("GET", f"{sidecar.control}/audit/stream", timeout=20) as answer:
        assert sidecar.chat().status_code == 200
        heard = iter(answer.iter_lines())
        lines = [next(heard)]
        while not lines[-1].startswith("event: budget"):
            lines.append(next(heard))
        told = json.loads(next(heard).removeprefix("data: "))
    assert (told["reason"], told["used"], told["limit"]) == ("softTokens", TOKENS, TOKENS)
