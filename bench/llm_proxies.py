"""What the sidecar's benchmark measures: a direct call, the sidecar, and the litellm proxy.

Each proxy is the real program in a process of its own with what it needs to run, in front of the
same upstream. litellm pins half of what this project uses, so it lives in an environment of its
own; without that the benchmark says so and compares with direct calls alone.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from bench.child import ROOT

__all__ = ["LITELLM", "Program", "litellm_proxy", "sidecar"]

LITELLM = ROOT / "build" / "compare" / "bin" / "litellm"

_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Program:
    """Something that answers chats at ``port``. ``pid`` is None for the upstream itself."""

    name: str
    port: int
    key: str = "sk-bench"
    pid: int | None = None


@contextmanager
def sidecar(upstream: int, directory: Path) -> Iterator[Program]:
    """The sidecar as it runs in a pod: with a ledger file, and no control plane."""
    command = [sys.executable, "-m", "agentspec_usage.cli.main", "sidecar"]
    command += ["--upstream-url", f"http://127.0.0.1:{upstream}", "--control-address", "127.0.0.1"]
    command += ["--ledger-dir", str(directory / "ledger"), "--proxy-port", "0"]
    command += ["--control-port", "0"]
    with (directory / "sidecar.log").open("w+") as log, _running(command, log) as process:
        yield Program("sidecar", _started(process, log), pid=process.pid)


@contextmanager
def litellm_proxy(upstream: int, directory: Path) -> Iterator[Program]:
    """litellm's proxy with one worker, no database and no callbacks: its least."""
    key = f"sk-{secrets.token_hex(24)}"
    config = directory / "litellm.json"
    parameters = {
        "model": "openai/gpt-4o",
        "api_base": f"http://127.0.0.1:{upstream}/v1",
        "api_key": "sk-bench",
    }
    # JSON is YAML.
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": "gpt-4o", "litellm_params": parameters}],
                "general_settings": {"master_key": key},
                "litellm_settings": {"telemetry": False},
            }
        )
    )
    port = _free_port()
    command = [str(LITELLM), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with (
        (directory / "litellm.log").open("w+") as log,
        _running(command, log, environment) as process,
    ):
        _await_answers(process, f"http://127.0.0.1:{port}/health/liveliness", log)
        yield Program("litellm", port, key, process.pid)


@contextmanager
def _running(
    command: list[str], log: IO[str], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, **(environment or {})}
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _started(process: subprocess.Popen[bytes], log: IO[str]) -> int:
    """The port that the sidecar says it listens on."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until and process.poll() is None:
        log.seek(0)
        for line in log:
            if '"sidecar started"' in line and line.endswith("\n"):
                return int(json.loads(line)["proxy"])
        time.sleep(0.05)
    raise _failed(log)


def _await_answers(process: subprocess.Popen[bytes], url: str, log: IO[str]) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False, timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise _failed(log)


def _failed(log: IO[str]) -> RuntimeError:
    log.seek(0)
    return RuntimeError(f"it did not start: {log.read()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port
