"""The provider of models as a process, and its bill."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from examples.demo.processes import start, stop, wait_until_listening

__all__ = ["Provider", "running_provider"]

_PORT = 8080


@dataclass(frozen=True, slots=True)
class Provider:
    """Where it is."""

    address: str
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://{self.address}:{_PORT}"

    def wait(self) -> None:
        """Until it listens. Raises TimeoutError."""
        wait_until_listening(self.address, _PORT, self.process)

    def bill(self) -> Mapping[str, int]:
        """The tokens that each agent used, by its API key, which is its name here."""
        accounts = httpx.get(f"{self.url}/bill", trust_env=False).raise_for_status().json()
        return {key: account["tokens"] for key, account in accounts.items()}


@contextmanager
def running_provider(address: str, directory: Path, log: Path) -> Iterator[Provider]:
    """The provider for the block."""
    options = [f"--host={address}", f"--port={_PORT}", "--log-level=warning"]
    command = ["-m", "uvicorn", "examples.provider.server:app", *options]
    process = start(command, log=log, environment={"HOME": str(directory)})
    try:
        yield Provider(address, process)
    finally:
        stop([process])
