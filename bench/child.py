"""A process of the benchmark that answers questions: a line in, a line of JSON out.

What is measured runs in a process of its own, or its CPU could not be told from the measuring. A
child ends when its standard input does, so nothing outlives the benchmark, however that ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Child", "answer", "answer_until_end", "first_line"]

ROOT = Path(__file__).resolve().parent.parent


class Child:
    """The parent's side. Use as a context: leaving it ends the child."""

    def __init__(
        self, module: str, config: Mapping[str, Any], environment: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.ask(json.dumps(config))

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, question: str) -> dict[str, Any]:
        """What the child answers; it has failed when it answers nothing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait(10)}")
        answered: dict[str, Any] = json.loads(line)
        return answered

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def first_line() -> dict[str, Any]:
    """The child's configuration. Read without a buffer, which would swallow later questions."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(1)
        line += byte
    config: dict[str, Any] = json.loads(line)
    return config


def answer(fields: Mapping[str, Any]) -> None:
    """Say ``fields`` to the parent."""
    print(json.dumps(fields), flush=True)


async def answer_until_end(report: Callable[[str], Mapping[str, Any]]) -> None:
    """Answer each question by what ``report`` makes of it, until the parent is done."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def readable() -> None:
        data = os.read(0, 4096)
        if not data:
            loop.remove_reader(0)
            ended.set()
        for question in data.decode().split():
            answer(report(question))

    loop.add_reader(0, readable)
    await ended.wait()
