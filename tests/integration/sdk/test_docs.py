"""The lines of docs/sdk.md run as they stand, and count what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from langchain_core.messages import AIMessage
from openai import OpenAI
from starlette.testclient import TestClient

from agentspec_usage.sdk import UsageLedger
from agentspec_usage.wire.usage import decode_usage
from tests.integration.sdk.models import ChatModel
from tests.integration.sdk.provider_server import ProviderServer
from tests.integration.sdk.receivers import KEY, Store, listening

PAGE = (Path(__file__).parents[3] / "docs" / "sdk.md").read_text()
BLOCKS = re.findall(r"(?:<!-- runs: (\w+) -->\n)?```python\n(.*?)```", PAGE, re.DOTALL)
NAMED = {name: block for name, block in BLOCKS if name}
PLAIN = [block for name, block in BLOCKS if not name]
CONTROL_PLANE = "http://agentspec-usage-controlplane.agentspec-system:8000"


def run(block: str, **given: Any) -> dict[str, Any]:
    """What the block made, run where only ``given`` is."""
    made: dict[str, Any] = {"__name__": "agent", **given}
    exec(compile(block, "docs/sdk.md", "exec"), made)
    return made


def used(ledger: UsageLedger) -> tuple[int, int]:
    totals = ledger.snapshot().totals
    return totals.total, totals.calls


@pytest.fixture(autouse=True)
def _environment(provider: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user's environment says of providers."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)


@pytest.mark.parametrize("block", PLAIN, ids=["a ledger", "a context"])
def test_the_lines_about_the_ledger_run(block: str) -> None:
    assert used(run(block)["ledger"]) == (4480, 1)


@pytest.mark.parametrize(
    ("name", "counted"),
    [pytest.param("openai", (1500, 1), id="openai"), pytest.param("anthropic", (1724, 1), id="a")],
)
def test_the_lines_about_clients_run(name: str, counted: tuple[int, int]) -> None:
    made = run(NAMED[name])
    made["client"].close()
    assert used(made["ledger"]) == counted


def test_the_lines_about_a_node_run() -> None:
    usage: Any = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}

    def call_model(state: Any) -> dict[str, Any]:
        return {"messages": [AIMessage("hi", usage_metadata=usage)]}

    assert used(run(NAMED["langgraph"], call_model=call_model)["ledger"]) == (15, 1)


def test_the_lines_about_a_handler_run() -> None:
    with OpenAI() as client:
        model = ChatModel(client=client)
        assert used(run(NAMED["langchain"], model=model)["ledger"]) == (1500, 1)


@pytest.mark.parametrize("name", ["starlette", "fastapi"])
def test_the_lines_about_asgi_run(name: str) -> None:
    made = run(NAMED[name])
    made["ledger"].record("openai/gpt-4o", 1, 1)
    with TestClient(made["app"]) as client:
        (seen,) = decode_usage(client.get("/agentspec/usage").content).snapshots
        assert client.get("/agentspec/health").json() == {"status": "healthy"}
    assert seen.totals.total == 2


def test_the_lines_about_wsgi_run() -> None:
    made = run(NAMED["flask"])
    made["ledger"].record("openai/gpt-4o", 1, 1)
    app: Flask = made["app"]
    (seen,) = decode_usage(app.test_client().get("/agentspec/usage").data).snapshots
    assert seen.totals.total == 2


def test_the_lines_about_pushing_run() -> None:
    store = Store()
    with listening(store) as url:
        assert CONTROL_PLANE in NAMED["reporter"]
        run(NAMED["reporter"].replace(CONTROL_PLANE, url), api_key=KEY)
    assert (store.total.total, store.total.calls, store.finals) == (4480, 1, 1)


def test_every_marked_block_is_run_here() -> None:
    source = Path(__file__).read_text()
    assert [name for name in NAMED if f'"{name}"' not in source] == []
    assert len(PLAIN) == 2
