"""Keys and prompts planted wherever a request can carry them come out nowhere."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from urllib.parse import quote

import pytest

from agentspec_usage.extraction.values import Extraction, ReadCall
from agentspec_usage.sidecar.calls import EndedBy
from tests.integration.sidecar.control.served import Served, served
from tests.unit.sidecar.control.ports import Sidecar, push
from tests.unit.sidecar.proxied import CHAT, a_call, a_request, an_end

KEY = "sk-canary-key-7f3a"
PROMPT = "canary prompt of somebody"
RAW = '{"prompt_tokens":1,"note":"canary prompt of somebody"}'


def planted(text: str) -> bool:
    return any(secret in text for secret in (KEY, PROMPT, quote(PROMPT)))


def headers() -> dict[str, str]:
    names = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "x-anything")
    return dict.fromkeys(names, KEY) | {"user-agent": PROMPT}


async def everything_shown(control: Served) -> dict[str, str]:
    """Each page, and each refusal."""
    query = f"?key={KEY}&prompt={quote(PROMPT)}"
    shown: dict[str, str] = {}
    for path in (
        *("/usage", "/agentspec/usage", "/audit", "/metrics", "/health/live", "/health/ready"),
        *("/nothing", f"/nothing/{KEY}", "/events", f"/audit{query}&limit={KEY}"),
    ):
        answer = await control.http.get(path + ("" if "?" in path else query), headers=headers())
        shown[path] = f"{answer.headers}{answer.text}"
    for path in ("/events", "/usage/records", "/audit"):
        for body in (
            f'"{KEY}',
            f'{{"requestId":"{KEY}","{PROMPT}":[{KEY}]}}',
            f'{{"frames":["{KEY}"]}}',
        ):
            answer = await control.http.post(path + query, content=body, headers=headers())
            assert answer.status_code >= 400
            shown[f"POST {path} {body}"] = f"{answer.headers}{answer.text}"
    return shown


def everything_written(directory: Path) -> dict[str, str]:
    return {
        str(file): file.read_bytes().decode(errors="replace")
        for file in directory.rglob("*")
        if file.is_file()
    }


async def stream_of(control: Served) -> str:
    """What a listener hears until the stream ends."""
    async with control.http.stream("GET", f"/audit/stream?key={KEY}", headers=headers()) as answer:
        return "".join([piece async for piece in answer.aiter_text()])


async def test_planted_secrets_are_shown_and_written_nowhere(
    sidecar: Sidecar, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # The raw usage object is billing's evidence: it goes to the ledger and nowhere else.
    call = a_call(5000, 20, raw=RAW)
    async with served(sidecar) as control:
        listening = asyncio.create_task(stream_of(control))
        exchange(sidecar, call)
        event = {"type": "tool", "name": "search", "arguments": PROMPT, "headers": headers()}
        model = {"type": "model", "modelId": "m", "prompt": PROMPT, "tokenCount": KEY}
        answer = await control.http.post("/events", content=push("r1", event, model))
        assert answer.status_code == 200
        assert sidecar.budget.facts().used.announced
        shown = await everything_shown(control)
        sidecar.audit.feed.close()
        shown["/audit/stream"] = await listening
    sidecar.close()
    shown |= everything_written(tmp_path)
    shown["log"] = "\n".join(str(vars(record)) for record in ours(caplog.records))
    assert {"token-usage.jsonl", "budget"} <= {where.rpartition("/")[2] for where in shown}
    assert "requestId" in shown["/audit/stream"]
    assert {where for where, text in shown.items() if planted(text)} == set()


def exchange(sidecar: Sidecar, call: ReadCall) -> None:
    """A call that goes well, and one that does not."""
    request = a_request("r1", path=CHAT)
    sidecar.begin(request)
    sidecar.end(request, an_end(call))
    failed = a_request("r2", path=CHAT)
    sidecar.begin(failed)
    doubts = Extraction(unmetered=True, reason="no usage", unknown_fields=("new_tokens",))
    sidecar.end(failed, an_end(extraction=doubts, ended_by=EndedBy.CLIENT))


def ours(records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    """Without the lines of the client of this test."""
    return [record for record in records if not record.name.startswith(("httpx", "httpcore"))]
