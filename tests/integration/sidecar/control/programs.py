"""The sidecar as it is run: a process of its own before a provider on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.integration.controlplane.waiting import until

__all__ = ["SidecarProgram", "sidecar_program"]


class SidecarProgram:
    """One pod's directory, and the processes that use it one after another."""

    def __init__(
        self,
        directory: Path,
        upstream: str,
        budgets: Mapping[str, object] | None = None,
        token_logs: Path | None = None,
    ) -> None:
        self.token_logs = token_logs or directory / "token-logs"
        self.directory = directory
        self._log = directory / "log"
        self._upstreams = directory / "upstreams.json"
        upstreams = [{"provider": "openai", "url": f"{upstream}/v1", "prefix": "/openai/v1"}]
        document = {"upstreams": upstreams, **({"budgets": dict(budgets)} if budgets else {})}
        self._upstreams.write_text(json.dumps(document), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self.openai = ""
        self.control = ""

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def start(self) -> None:
        """Start, and return when it listens."""
        with self._log.open("ab") as output:
            begin = output.tell()
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "agentspec_usage.cli.main", "sidecar"),
                    f"--upstreams-file={self._upstreams}",
                    f"--ledger-dir={self.directory / 'ledger'}",
                    *("--proxy-port=0", "--control-port=0", "--control-address=127.0.0.1"),
                    *("--stop-timeout=5", "--log-level=debug"),
                ],
                stdout=output,
                stderr=output,
                env={"PATH": os.environ["PATH"], "TOKEN_LOG_DIR": str(self.token_logs)},
            )
        until(lambda: self._started(begin), "the sidecar started")
        line = self._started(begin)
        assert line is not None
        self.openai = f"http://127.0.0.1:{line['proxy']}/openai/v1"
        self.control = f"http://127.0.0.1:{line['control']}"

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.control}{path}", timeout=10)

    def metric(self, name: str) -> float:
        """A value of /metrics by its name and labels; 0 where it has none."""
        start = f"agentspec_sidecar_{name} "
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(start):
                return float(line.removeprefix(start))
        return 0.0

    def chat(self, **body: Any) -> httpx.Response:
        """One chat call through the proxy."""
        document = {"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}], **body}
        return httpx.post(f"{self.openai}/chat/completions", json=document, timeout=20)

    def token_lines(self) -> list[dict[str, Any]]:
        """The lines of ``token-usage.jsonl``; one that is not whole is a defect."""
        text = (self.token_logs / "token-usage.jsonl").read_text(encoding="ascii")
        assert text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]

    def _started(self, begin: int) -> dict[str, Any] | None:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        for line in self._log.read_bytes()[begin:].splitlines():
            with suppress(ValueError):
                document = json.loads(line)
                if document["message"] == "sidecar started":
                    return dict(document)
        return None


@contextmanager
def sidecar_program(directory: Path, upstream: str, **options: Any) -> Iterator[SidecarProgram]:
    """A sidecar that runs until the end of the block."""
    program = SidecarProgram(directory, upstream, **options)
    try:
        program.start()
        yield program
    finally:
        program.kill()
