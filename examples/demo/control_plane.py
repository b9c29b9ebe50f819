"""The control plane as a process, its files and its answers."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from agentspec_usage.errors import AgentspecUsageError
from examples.demo.cast import NAMESPACE
from examples.demo.processes import PROGRAM, finished, start, stop, wait_until_listening

__all__ = ["DATABASE", "HEADS", "PUBLIC_KEY", "ControlPlane", "Stored", "running_control_plane"]

DATABASE, PUBLIC_KEY, HEADS = "usage.db", "public.pem", "heads.txt"
"""Its files for finance: what was used, and what proves that it was not changed."""

_PORT = 8000
_ADMIN_KEY, _OPERATOR_KEY, _SIGNING_KEY = "admin.key", "operator.key", "signing.pem"


@dataclass(frozen=True, slots=True)
class Stored:
    """Of one agent: the calls and tokens of every record that is durable."""

    calls: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Where it is, and the directory with its files."""

    address: str
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://{self.address}:{_PORT}"

    @property
    def admin_key_file(self) -> Path:
        """The key of who may ask."""
        return self.directory / _ADMIN_KEY

    @property
    def operator_key_file(self) -> Path:
        """The key of the operator, which hands in what it reads."""
        return self.directory / _OPERATOR_KEY

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
        key = self.admin_key_file.read_text()
        return httpx.Client(base_url=self.url, headers={"X-Admin-Key": key}, trust_env=False)


@contextmanager
def running_control_plane(address: str, directory: Path, log: Path) -> Iterator[ControlPlane]:
    """The control plane for the block, with keys that were made for it."""
    for name in (_ADMIN_KEY, _OPERATOR_KEY):
        key_file = directory / name
        key_file.touch(0o600)
        key_file.write_text(secrets.token_urlsafe(32))
    flags = [
        f"--address={address}",
        f"--port={_PORT}",
        f"--database={directory / DATABASE}",
        f"--admin-key-file={directory / _ADMIN_KEY}",
        f"--operator-key-file={directory / _OPERATOR_KEY}",
        f"--signing-key-file={_signing_key(directory)}",
        f"--checkpoint-file={directory / HEADS}",
        "--checkpoint-interval=2",  # so that the last row is proved, too; 60 s is the default
        "--heartbeat-interval=5",  # less than what the agents keep to
        "--log-format=text",
    ]
    process = start(
        [*PROGRAM, "controlplane", *flags], log=log, environment={"HOME": str(directory)}
    )
    try:
        yield ControlPlane(address, directory, process)
    finally:
        stop([process])


def _signing_key(directory: Path) -> Path:
    options = [f"--private-key={_SIGNING_KEY}", f"--public-key={PUBLIC_KEY}"]
    made = finished(["signing-key", *options], directory)
    if made.returncode:
        raise AgentspecUsageError(f"signing-key: {made.stdout}")
    return directory / _SIGNING_KEY
