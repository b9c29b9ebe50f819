"""Secrets in every header, query and body of calls through the proxy: on the wire and nowhere else.

The upstream is as indiscreet as providers are: it repeats the key in its errors, in headers and in
the usage object.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.integration.sidecar.control.programs import SidecarProgram, sidecar_program

KEY = "sk-canary-key-7f3a"
PROMPT = "canary prompt of somebody"
ANSWER = "canary answer to it"
SECRETS = (KEY, PROMPT, quote(PROMPT), ANSWER, "canary")

NAMES = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "user-agent", "x-any")
HEADERS = dict.fromkeys(NAMES, KEY)
QUERY = f"?key={KEY}&prompt={quote(PROMPT)}"


class Indiscreet(BaseHTTPRequestHandler):
    """Answers by the model's name, with everything that it was told."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        told = f"{self.headers} {self.path} {body}"
        assert KEY in told
        assert PROMPT in told
        model = body["model"]
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        message = {"role": "assistant", "content": ANSWER}
        document = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        }
        if model == "refused":
            self._answer(401, json.dumps({"error": {"message": told}}).encode())
        elif model == "no-usage":
            self._answer(200, json.dumps({**document, "usage": told}).encode())
        elif model == "odd-usage":
            odd = {**usage, "total_tokens": KEY, "details": told}
            self._answer(200, json.dumps({**document, "usage": odd}).encode())
        elif model == "no-json":
            self._answer(200, told.encode())
        elif model == "torn":
            self._answer(200, json.dumps(document).encode(), cut=True)
        elif model == "no-http":
            self.wfile.write(f"{KEY} {PROMPT}\r\n\r\n".encode())
            self.close_connection = True
        else:
            self._answer(200, json.dumps(document).encode())

    def _answer(self, status: int, body: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body) + 10 * cut))
        self.send_header("x-echo", KEY)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = cut

    def log_message(self, *_: object) -> None:
        """Say nothing."""


MODELS = ("well", "refused", "no-usage", "odd-usage", "no-json", "torn", "no-http")


@contextmanager
def indiscreet_upstream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Indiscreet)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def call(sidecar: SidecarProgram, model: str) -> None:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": PROMPT}],
        "user": KEY,
        "metadata": {"note": PROMPT},
    }
    with suppress(httpx.TransportError):
        answer = httpx.post(
            f"{sidecar.openai}/chat/completions{QUERY}", json=body, headers=HEADERS, timeout=20
        )
        if model == "well":
            assert answer.json()["choices"][0]["message"]["content"] == ANSWER


def misused(sidecar: SidecarProgram) -> None:
    """What is no call: unknown paths, and the control port asked with secrets."""
    origin = sidecar.openai.removesuffix("/openai/v1")
    for method, url in (
        ("GET", f"{origin}/unknown{QUERY}"),
        ("POST", f"{sidecar.control}/events{QUERY}"),
        ("POST", f"{sidecar.control}/usage/records{QUERY}"),
        ("GET", f"{sidecar.control}/audit{QUERY}&limit={KEY}"),
        ("GET", f"{sidecar.control}/nothing{QUERY}"),
    ):
        answer = httpx.request(method, url, content=f'{{"{KEY}": "{PROMPT}"', headers=HEADERS)
        assert answer.status_code >= 400
        assert not revealed(answer.text), url


def revealed(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("budgets", [None, {"hardTokens": 10}], ids=["free", "budget used up"])
def test_secrets_are_on_the_wire_and_nowhere_else(
    tmp_path: Path, budgets: dict[str, int] | None
) -> None:
    with indiscreet_upstream() as upstream:
        with sidecar_program(tmp_path, upstream, budgets=budgets) as sidecar:
            for model in MODELS:
                call(sidecar, model)
            misused(sidecar)
            shown = {
                path: sidecar.get(path).text
                for path in ("/usage", "/audit", "/metrics", "/health/ready", "/health/live")
            }
            assert sidecar.terminate() == 0
    assert len(json.loads(shown["/audit"])) >= len(MODELS)
    assert sidecar.token_lines()[0]["input_tokens"] == 7
    for file in tmp_path.rglob("*"):
        if file.is_file():
            shown[str(file)] = file.read_bytes().decode(errors="replace")
    assert any(where.endswith("/log") for where in shown)
    assert {where: found for where, text in shown.items() if (found := revealed(text))} == {}
