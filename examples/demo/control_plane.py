"""The control plane as a process, and its answers."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from examples.demo.cast import NAMESPACE
from examples.demo.processes import start, stop, wait_until_listening

__all__ = ["ControlPlane", "Stored", "running_control_plane"]

_PORT = 8000


@dataclass(frozen=True, slots=True)
class Stored:
    """Of one agent: the calls and tokens of every record that is durable."""

    calls: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Where it is, and the key of who may ask."""

    address: str
    key_file: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://{self.address}:{_PORT}"

    def wait(self) -> None:
        """Until it listens. Raises TimeoutError."""
        wait_until_listening(self.address, _PORT, self.process)

    def register(self, agent: str) -> str:
        """A key for ``agent``."""
        body = {"agentName": agent, "namespace": NAMESPACE, "runtime": "k8s"}
        with self._client() as client:
            answer = client.post("/api/v1/register", json=body).raise_for_status().json()
        key: str = answer["apiKey"]
        return key

    def agents(self) -> Sequence[Mapping[str, Any]]:
        """``GET /agents``, each with its ``/usage`` beside it."""
        with self._client() as client:
            rows = client.get("/api/v1/agents").raise_for_status().json()
            for row in rows:
                usage = client.get(f"/api/v1/agents/{row['agentName']}/usage")
                row["usage"] = usage.raise_for_status().json()
        found: Sequence[Mapping[str, Any]] = rows
        return found

    def stored(self) -> Mapping[str, Stored]:
        """``GET /usage``: what is stored of each agent's calls, by agent's name."""
        with self._client() as client:
            sums = client.get("/api/v1/usage").raise_for_status().json()["byAgent"]
        return {
            agent.removeprefix(f"{NAMESPACE}/"): Stored(row["request_count"], row["total_tokens"])
            for agent, row in sums.items()
        }

    def _client(self) -> httpx.Client:
        key = self.key_file.read_text()
        return httpx.Client(base_url=self.url, headers={"X-Admin-Key": key}, trust_env=False)


@contextmanager
def running_control_plane(address: str, directory: Path, log: Path) -> Iterator[ControlPlane]:
    """The control plane for the block, with an admin key that was drawn for it."""
    key_file = directory / "admin.key"
    key_file.touch(0o600)
    key_file.write_text(secrets.token_urlsafe(32))
    flags = [
        f"--address={address}",
        f"--port={_PORT}",
        f"--database={directory / 'usage.db'}",
        f"--admin-key-file={key_file}",
        "--heartbeat-interval=5",  # less than what the agents keep to
        "--log-format=text",
    ]
    command = ["-m", "agentspec_usage.cli.main", "controlplane", *flags]
    process = start(command, log=log, environment={"HOME": str(directory)})
    try:
        yield ControlPlane(address, key_file, process)
    finally:
        stop([process])
