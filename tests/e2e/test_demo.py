"""The demo, whole: the numbers agree, and nothing is left, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentspec_usage.devcluster import Binaries
from examples.demo.cast import AGENTS

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0

pytestmark = pytest.mark.cluster


class _Demo:
    """A demo with a directory of its own for temporary files, by which its processes are known."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.directory = directory
        self._output = directory.with_suffix(".txt")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "examples.demo"],
                cwd=ROOT,
                env={**os.environ, **environment, "TMPDIR": str(directory)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str) -> None:
        """Until the demo printed ``text``."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)

    def processes(self) -> list[str]:
        """The command lines of what the demo started: each knows its directory."""
        found, mark = [], str(self.directory).encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if mark in environment or mark in command:
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
        return found

    def files(self) -> list[str]:
        """What is left in its directory."""
        return [str(path) for path in self.directory.iterdir()]

    def assert_nothing_is_left(self) -> None:
        """At once or soon: what ends a killed demo's cluster takes a moment."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (left := self.processes() + self.files()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left == []


@pytest.fixture
def directory(tmp_path: Path, binaries: Binaries) -> Path:
    """Where the demo may write; the programs are there already."""
    binaries.ensure(("etcd", "kube-apiserver", "kubectl"))
    made = tmp_path / "demo"
    made.mkdir()
    return made


def test_a_demo_that_ends_by_itself_shows_one_number_an_agent_and_leaves_nothing(
    directory: Path,
) -> None:
    demo = _Demo(directory, DEMO_SECONDS="10")
    code = demo.process.wait(PATIENCE_SECONDS)
    assert code == 0, demo.output
    header, *lines = demo.output.splitlines()[-1 - len(AGENTS) :]
    assert header.split("  ")[0] == "AGENT"
    for agent, line in zip(AGENTS, lines, strict=True):
        name, *columns = line.split()
        assert name == agent.name
        numbers = [column for column in columns if column.isdecimal()]
        said = (agent.readable, agent.readable, agent.counts, agent.sidecar, agent.registered)
        assert len(numbers) == sum(said), line
        assert len(set(numbers)) == agent.readable, line
        assert line.endswith("equal" if agent.readable else "kubectl says so")
    assert demo.processes() == []
    assert demo.files() == []


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 0, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 0, id="SIGTERM"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="SIGKILL"),
    ],
)
def test_a_demo_that_is_stopped_leaves_nothing(
    directory: Path, number: signal.Signals, code: int
) -> None:
    demo = _Demo(directory, DEMO_SECONDS="")
    demo.wait_for("RECORD TOKENS")
    running = " ".join(demo.processes())
    assert all(f"examples.agents.{agent.module}" in running for agent in AGENTS)
    assert "cli.main controlplane" in running
    assert "cli.main sidecar" in running
    demo.process.send_signal(number)
    assert demo.process.wait(PATIENCE_SECONDS) == code, demo.output
    demo.assert_nothing_is_left()
