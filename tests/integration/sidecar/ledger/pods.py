"""A pod: the sidecar as it is run, at ports that stay, and an agent with or without an SDK."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import openai

from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.sdk import Reporter, instrument_openai
from agentspec_usage.wire.usage import decode_usage
from tests.integration.controlplane.waiting import until

__all__ = ["Pod", "agent", "call", "pod_with"]


class Pod:
    """One directory and two ports, and the sidecars that use them one after another."""

    def __init__(self, directory: Path, upstream: str, *flags: str, key: str = "") -> None:
        """``key`` is the agent's for a control plane that ``flags`` name."""
        self.directory = directory
        self._key = key
        self._upstream = upstream
        self._flags = flags
        self._ports = _free_ports(2)
        self.proxy = f"http://127.0.0.1:{self._ports[0]}"
        self.control = f"http://127.0.0.1:{self._ports[1]}"
        self._process: subprocess.Popen[bytes] | None = None
        # No connection is kept: the next sidecar at this port is another process.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=self.control, timeout=10, limits=limits)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(encoding="utf-8")

    def logged(self, message: str) -> list[dict[str, Any]]:
        """The lines with this message."""
        lines = [json.loads(line) for line in self.log.splitlines()]
        return [line for line in lines if line["message"] == message]

    def start(self) -> None:
        """Start, and return when it is live."""
        arguments = [
            f"--upstream-url={self._upstream}",
            f"--ledger-dir={self.directory / 'ledger'}",
            f"--proxy-port={self._ports[0]}",
            f"--control-port={self._ports[1]}",
            "--control-address=127.0.0.1",
            "--stop-timeout=5",
            *self._flags,
        ]
        with (self.directory / "log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agentspec_usage.cli.main", "sidecar", *arguments],
                stdout=output,
                stderr=output,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONDONTWRITEBYTECODE": "1",  # a module must not become half a file
                    "AGENTSPEC_SIDECAR_API_KEY": self._key,
                },
            )
        until(self._is_live, "the sidecar is live")

    def limit_files(self, size: int) -> None:
        """No file grows beyond ``size`` bytes any more: the volume is full."""
        assert self._process is not None
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def unlimit_files(self) -> None:
        """The volume has room again."""
        assert self._process is not None
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def usage(self) -> UsageSnapshot:
        """What the operator reads."""
        answer = self._http.get("/usage").raise_for_status()
        (snapshot,) = decode_usage(answer.content).snapshots
        return snapshot

    def is_ready(self) -> bool:
        ready = self._http.get("/health/ready").json()
        return bool(ready["status"] == "ready")

    def _is_live(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        with suppress(httpx.TransportError):
            return self._http.get("/health/live").is_success
        return False


@contextmanager
def pod_with(directory: Path, upstream: str, *flags: str, key: str = "") -> Iterator[Pod]:
    """A pod whose sidecar runs until the end of the block."""
    pod = Pod(directory, upstream, *flags, key=key)
    try:
        pod.start()
        yield pod
    finally:
        pod.kill()


@contextmanager
def agent(base_url: str, reporter: Reporter | None = None) -> Iterator[openai.OpenAI]:
    """An agent that calls models at ``base_url``, once each; with a reporter its SDK counts too."""
    client = openai.OpenAI(base_url=base_url, api_key="sk-test", max_retries=0, timeout=20)
    with client:
        yield client if reporter is None else instrument_openai(client, reporter.ledger)


def call(client: openai.OpenAI) -> int:
    """One call; the tokens that its answer says."""
    answer = client.chat.completions.create(
        model="gpt-5", messages=[{"role": "user", "content": "is it so?"}]
    )
    assert answer.usage is not None
    return answer.usage.total_tokens


def _free_ports(number: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [int(listener.getsockname()[1]) for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()
