"""Agents as their teams run them: processes that use the SDK, told what to do over a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from agentspec_usage.metering.counts import TokenCounts

__all__ = ["MeteredAgent", "Said", "metered_agent"]

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Said:
    """What an agent said of itself.

    ``counted`` by its ledger, ``truth`` by its own hand; ``durable`` what its reporter said at the
    end.
    """

    instance_id: str
    seq: int
    counted: TokenCounts
    truth: TokenCounts
    durable: bool


class MeteredAgent:
    """An agent's process, which calls models only between ``go`` and ``rest``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input: IO[str] = process.stdin
        self._output: IO[str] = process.stdout

    def go(self) -> None:
        self._tell("go")

    def now(self) -> Said:
        """What it counted so far, while it goes on."""
        return _said(self._tell("now"))

    def rest(self) -> Said:
        return _said(self._tell("rest"))

    def end(self) -> Said:
        said = _said(self._tell("end"))
        self._input.close()
        assert self._process.wait(30) == 0
        return said

    def _tell(self, word: str) -> dict[str, Any]:
        print(word, file=self._input, flush=True)
        answer: dict[str, Any] = json.loads(self._output.readline())
        return answer


def _said(answer: dict[str, Any]) -> Said:
    return Said(
        answer["instance"],
        answer["seq"],
        TokenCounts(**answer["counted"]),
        TokenCounts(**answer["truth"]),
        answer.get("durable", False),
    )


@contextmanager
def metered_agent(control_plane: str, key: str, provider: str) -> Iterator[MeteredAgent]:
    """An agent that pushes to ``control_plane``, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.controlplane.metered_agent"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "CONTROL_PLANE": control_plane,
            "KEY": key,
            "PROVIDER": provider,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield MeteredAgent(process)
        finally:
            process.kill()
