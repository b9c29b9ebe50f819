"""The demo, whole: the numbers agree, and nothing is left, however it ends."""

from __future__ import annotations

import os
import secrets
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
    """A demo with a directory of its own for temporary files, and a mark on its processes."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.directory = directory
        self._mark = secrets.token_hex(16)
        self._output = directory.with_suffix(".txt")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "examples.demo"],
                cwd=ROOT,
                env={
                    **os.environ,
                    **environment,
                    "TMPDIR": str(directory),
                    "DEMO_TEST_MARK": self._mark,
                },
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
        """The command lines of what the demo started: by its mark, or by its directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if self._mark.encode() in environment or str(self.directory).encode() in command:
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


def test_a_demo_that_ends_by_itself_shows_what_the_agents_say_and_leaves_nothing(
    directory: Path,
) -> None:
    demo = _Demo(directory, DEMO_SECONDS="15")
    code = demo.process.wait(PATIENCE_SECONDS)
    assert code == 0, demo.output
    for agent in AGENTS:
        line = next(
            line for line in reversed(demo.output.splitlines()) if line.startswith(agent.name)
        )
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
    demo.wait_for("NAME")
    assert any("examples.agents" in command for command in demo.processes())
    demo.process.send_signal(number)
    assert demo.process.wait(PATIENCE_SECONDS) == code, demo.output
    demo.assert_nothing_is_left()
