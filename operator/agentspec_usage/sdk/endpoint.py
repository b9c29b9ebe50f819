"""What ``GET /agentspec/usage`` and ``GET /agentspec/health`` answer, apart from any server.

The two servers' interfaces (``asgi``, ``wsgi``) only carry it. A reading changes nothing. Both
answers come whether the app stands at the root of a server or is mounted at ``/agentspec``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.sdk.shield import shielded
from agentspec_usage.wire.usage_encoding import encode_usage

__all__ = ["Answer", "HealthCheck", "Snapshots", "UsageEndpoint", "healthy"]

HealthCheck = Callable[[], Literal["healthy", "degraded", "unhealthy"]]


class Snapshots(Protocol):
    """Where an answer's numbers come from: a ledger, or a reporter that owns one."""

    def snapshots(self) -> Sequence[UsageSnapshot]:
        """One snapshot an instance."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: a status line, headers, a body."""

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def healthy() -> Literal["healthy"]:
    """An agent that answers, and says no more."""
    return "healthy"


class UsageEndpoint:
    """Answers for ``source``. ``health`` says how the agent is; one that fails says unhealthy."""

    def __init__(self, source: Snapshots, health: HealthCheck = healthy) -> None:
        self._source = source
        self._health = health

    def answer(self, method: str, path: str) -> Answer:
        """The answer to ``path``, as it is below where the app is mounted."""
        write = self._writers().get(path.removeprefix("/agentspec").rstrip("/"))
        if write is None:
            return _answer("404 Not Found", {"error": "not found"})
        if method not in {"GET", "HEAD"}:
            return _answer("405 Method Not Allowed", {"error": "GET alone"}, ("allow", "GET, HEAD"))
        answered = shielded(write)
        if answered is None:
            return _answer("500 Internal Server Error", {"error": "the usage cannot be read"})
        return answered

    def _writers(self) -> dict[str, Callable[[], Answer]]:
        return {"/usage": self._usage, "/health": self._say_health}

    def _usage(self) -> Answer:
        return _ok(encode_usage(self._source.snapshots()))

    def _say_health(self) -> Answer:
        status = shielded(self._health)
        if status not in {"healthy", "degraded"}:
            status = "unhealthy"
        return _ok(json.dumps({"status": status}).encode())


def _ok(body: bytes) -> Answer:
    return Answer("200 OK", _headers(body), body)


def _answer(status: str, fields: dict[str, str], *headers: tuple[str, str]) -> Answer:
    body = json.dumps(fields).encode()
    return Answer(status, (*_headers(body), *headers), body)


def _headers(body: bytes) -> tuple[tuple[str, str], ...]:
    return (
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
    )
