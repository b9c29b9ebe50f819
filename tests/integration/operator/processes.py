"""The operator as users run it: a process, with the rights of its ServiceAccount and no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.integration.operator.waiting import until

__all__ = ["Operator", "running"]

_QUICK = (
    "--allow-loopback",
    "--write-min-interval=0",
    "--health-address=127.0.0.1",
    "--health-port=0",
    "--scrape-timeout=2",
)


class Operator:
    """One operator process. Its log is a file, so that nothing it says can block it."""

    def __init__(self, kubeconfig: Path, log: Path, arguments: Sequence[str]) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "agentspec_usage.cli.main", "operator"),
                    *(f"--kubeconfig={kubeconfig}", *_QUICK, *arguments),
                ],
                stdout=output,
                stderr=output,
                env={"PATH": os.environ["PATH"]},
            )

    @property
    def log(self) -> str:
        """Everything it said so far."""
        return self._log.read_text(encoding="utf-8")

    def lines(self) -> list[dict[str, Any]]:
        """The log's lines; what is no JSON object is a defect of the operator."""
        return [json.loads(line) for line in self.log.splitlines()]

    @property
    def health(self) -> str:
        """The base URL of its health server."""
        started = until(
            lambda: [line for line in self.lines() if line["message"] == "operator started"],
            "the operator says where its health server is",
        )
        return f"http://{started[-1]['health']}"

    def ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            return httpx.get(f"{self.health}/readyz", timeout=2).is_success
        except httpx.TransportError:
            return False

    def wait_until_ready(self) -> Operator:
        until(lambda: self.ended() or self.ready(), "the operator is ready")
        assert not self.ended(), self.log
        return self

    def ended(self) -> bool:
        return self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self._process.kill()
        self._process.wait(10)

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self._process.terminate()
        return self._process.wait(40)

    def end(self) -> None:
        """Leave nothing behind, whatever the state."""
        if not self.ended():
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)


@contextmanager
def running(
    kubeconfig: Path, log: Path, *arguments: str, settings: Mapping[str, object] | None = None
) -> Iterator[Operator]:
    """An operator until the end of the block; ``settings`` are flags with values."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in (settings or {}).items()]
    operator = Operator(kubeconfig, log, [*arguments, *flags])
    try:
        yield operator
    finally:
        operator.end()
