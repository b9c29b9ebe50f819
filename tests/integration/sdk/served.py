"""Real servers for the tests: uvicorn and gunicorn, each a process that ends with its block."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

__all__ = ["get", "gunicorn", "uvicorn"]

ROOT = Path(__file__).resolve().parents[3]
_STARTS_WITHIN = 60.0


def get(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body, over a connection of its own, so that any worker may answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers={"connection": "close"})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()


@contextmanager
def uvicorn(application: str, *options: str) -> Iterator[int]:
    """The port at which uvicorn serves ``application``."""
    port = _free_port()
    with _server(
        ["uvicorn", application, "--host=127.0.0.1", f"--port={port}", *options], port
    ) as serving:
        yield serving


@contextmanager
def gunicorn(application: str, *options: str) -> Iterator[int]:
    """The port at which gunicorn serves ``application``."""
    port = _free_port()
    with _server(
        ["gunicorn", application, f"--bind=127.0.0.1:{port}", "--no-control-socket", *options], port
    ) as serving:
        yield serving


@contextmanager
def _server(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "default"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _wait_for(process, port)
        yield port
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(process.communicate()[0].decode())
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listened at {port}")


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
