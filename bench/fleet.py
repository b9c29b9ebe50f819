"""Simulated agents: one process that listens at the address of each and answers GET with usage.

As cheap as Python can be, because it shares the machine with what is measured: an epoll loop, and
the kernel hands over a connection only when its request is there, so accept, read, answer and close
are one turn. Loopback addresses only, each with a socket of its own.

The agents' counters are a function of the time that the fleet was busy: reading changes nothing.
"""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import time
from datetime import UTC, datetime

from bench.child import answer, first_line
from bench.estate import PORT, Agent

_STEP_SECONDS = 5.0
"""A busy agent makes a call this often."""

_STARTED = "2026-01-01T00:00:00.000Z"


class Load:
    """How long the fleet was busy so far."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    def set(self, busy: bool) -> None:
        self._before, self._since = self._seconds(), time.monotonic() if busy else None

    @property
    def steps(self) -> int:
        return int(self._seconds() / _STEP_SECONDS)

    def _seconds(self) -> float:
        return self._before + (time.monotonic() - self._since if self._since is not None else 0.0)


def body_of(agent: Agent, steps: int) -> bytes:
    """A usage snapshot in this project's dialect: two models, cumulative."""
    calls = agent.calls(steps)
    second = calls // 3
    models = [
        _row("openai", "gpt-4o", calls - second),
        _row("anthropic", "claude-sonnet-4-5", second),
    ]
    totals = {"input": 1200 * calls, "output": 300 * calls, "cacheRead": 400 * calls}
    snapshot = {
        "windowStartedAt": _STARTED,
        "totalTokens": agent.tokens(steps),
        "totalCalls": calls,
        "instanceId": agent.instance_id,
        "observer": "sdk",
        "seq": calls,
        "observedAt": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "totals": {**totals, "calls": calls},
        "models": models,
    }
    return json.dumps(snapshot, separators=(",", ":")).encode()


def _row(provider: str, model: str, calls: int) -> dict[str, object]:
    return {
        "modelId": f"{provider}/{model}",
        "provider": provider,
        "model": model,
        "promptTokens": 1200 * calls,
        "completionTokens": 300 * calls,
        "totalTokens": 1500 * calls,
        "cacheReadTokens": 400 * calls,
        "callCount": calls,
    }


def main() -> None:
    """Serve as many agents as the first line says; answer ``busy``, ``idle`` and ``report``."""
    count = int(first_line()["count"])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listeners = {}
    poll = select.epoll()
    for agent in map(Agent, range(count)):
        listener = _listen(agent.address)
        listeners[listener.fileno()] = (listener, agent)
        poll.register(listener, select.EPOLLIN)
    poll.register(0, select.EPOLLIN)
    load, served = Load(), 0
    answer({"listening": count})
    while True:
        for descriptor, _ in poll.poll():
            if descriptor:
                listener, agent = listeners[descriptor]
                served += _serve(listener, agent, load.steps)
                continue
            question = os.read(0, 4096).decode().strip()
            if not question:
                return
            if question in ("busy", "idle"):
                load.set(question == "busy")
            answer({"served": served, "steps": load.steps})


def _listen(address: str) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
    listener.bind((address, PORT))
    listener.listen(16)
    listener.setblocking(False)
    return listener


def _serve(listener: socket.socket, agent: Agent, steps: int) -> int:
    """Answer one connection; how many requests that were."""
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return 0
    with connection:
        connection.settimeout(1.0)
        try:
            if not connection.recv(4096):
                return 0
            body = body_of(agent, steps)
            head = (
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
        except OSError:
            return 0
    return 1


if __name__ == "__main__":
    main()
