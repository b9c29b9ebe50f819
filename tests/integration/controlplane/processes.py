"""The control plane as users run it: a process of its own, on loopback."""

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

from tests.integration.controlplane.waiting import until

__all__ = ["ADMIN", "ControlPlane", "control_plane"]

ROOT = Path(__file__).resolve().parents[3]
ADMIN_KEY = "an admin key of the tests"
ADMIN = {"X-Admin-Key": ADMIN_KEY}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class ControlPlane:
    """One database and one address, and the processes that serve them one after another.

    The database is a file in ``directory``, or the server's of ``server_url``.
    """

    def __init__(self, directory: Path, *flags: str, server_url: str = "") -> None:
        self.database = directory / "usage.db"
        self._server_url = server_url
        self._log = directory / "log"
        self._told_to_die = directory / "told-to-die"
        self._flags = flags
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._file_bytes: int | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything that every process said so far."""
        return self._log.read_text(encoding="utf-8")

    def lines(self) -> list[dict[str, Any]]:
        """The log's lines; what is no JSON object is a defect."""
        return [json.loads(line) for line in self.log.splitlines()]

    def limit_files(self, size: int) -> None:
        """The next process can make no file larger than ``size`` bytes: its disk is full."""
        self._file_bytes = size

    def unlimit_files(self) -> None:
        """The disk has room again."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def start(self) -> None:
        """Start, and return when it is ready."""
        self.spawn()
        until(self._is_ready, "the control plane is ready")

    def start_mortal(self, step: str) -> None:
        """Start one that can be told to kill itself at ``step`` (``dying_program``)."""
        self._told_to_die.unlink(missing_ok=True)
        self.spawn("tests.integration.controlplane.dying_program", step, str(self._told_to_die))
        until(self._is_ready, "the control plane is ready")

    def tell_to_die(self) -> None:
        """From now on it dies where it was started to die."""
        os.kill(self.pid, signal.SIGUSR1)
        until(self._told_to_die.exists, "it was told to die")

    def spawn(self, *program: str) -> None:
        """Start, and return at once."""
        module = program or ("agentspec_usage.cli.main",)
        arguments = ["--address=127.0.0.1", f"--port={self._port}"]
        if not self._server_url:
            arguments.append(f"--database={self.database}")
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", *module, "controlplane"),
                    *(*arguments, *self._flags),
                ],
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env={
                    "PATH": os.environ["PATH"],
                    "AGENTSPEC_CONTROLPLANE_ADMIN_KEY": ADMIN_KEY,
                    # A URL may hold a password, and flags are seen by everybody on the machine.
                    **({"DATABASE_URL": self._server_url} if self._server_url else {}),
                },
            )
        if self._file_bytes is not None:
            _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (self._file_bytes, hard))
            self._file_bytes = None

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(40)

    def wait(self) -> int:
        """The exit code of a process that ends by itself."""
        assert self._process is not None
        return self._process.wait(20)

    def end(self) -> None:
        """Leave nothing behind, whatever the state."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=10, **options)

    def register(self, name: str) -> str:
        """An API key for a new agent."""
        answer = httpx.post(
            f"{self.url}/api/v1/register",
            json={"agentName": name, "runtime": "local"},
            headers=ADMIN,
            timeout=10,
        )
        answer.raise_for_status()
        return str(answer.json()["apiKey"])

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        with suppress(httpx.TransportError):
            return self.get("/health/ready").is_success
        return False


@contextmanager
def control_plane(directory: Path, *flags: str, server_url: str = "") -> Iterator[ControlPlane]:
    """A control plane that runs until the end of the block."""
    directory.mkdir(exist_ok=True)
    plane = ControlPlane(directory, *flags, server_url=server_url)
    try:
        plane.start()
        yield plane
    finally:
        plane.end()
