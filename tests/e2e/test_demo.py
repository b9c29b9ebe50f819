"""The demo, whole: the numbers agree, the proof holds and fails where it has to, and nothing is
left, however the demo ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentspec_usage.devcluster import Binaries
from examples.demo.cast import AGENTS, COST_CENTER, SampleAgent
from examples.demo.views import WIDE_COMMAND

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

    def block(self, begin: str) -> list[str]:
        """The lines from the one that begins so to the next empty one."""
        lines = self.output.splitlines()
        (first,) = (number for number, line in enumerate(lines) if line.startswith(begin))
        return lines[first : lines.index("", first)]

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
    _, *lines, total = demo.block("AGENT         PROVIDER BILLS")
    tokens = {}
    for agent, line in zip(AGENTS, lines, strict=True):
        name, *columns = line.split()
        assert name == agent.name
        numbers = [column for column in columns if column.isdecimal()]
        said = (agent.counts, agent.sidecar, agent.registered)
        assert len(numbers) == 3 * agent.readable + sum(said), line
        assert len(set(numbers)) == agent.readable, line
        assert line.endswith("equal" if agent.readable else "kubectl says so")
        tokens[name] = int(numbers[0]) if numbers else 0
    whole = str(sum(tokens.values()))
    assert total.split() == ["TOTAL", whole, "-", "-", whole, "-", whole, "equal"]
    _check_costs(demo.block(f"$ {WIDE_COMMAND}")[1:])
    _check_statement(demo.block("NAMESPACE  "), tokens)
    assert demo.block("$ agentspec-usage verify --database usage.db")[-1] == "ok"
    found = demo.block("$ agentspec-usage verify --database copy.db")[-1]
    assert found.startswith("CHANGED: row ")
    assert demo.processes() == []
    assert demo.files() == []


def _check_costs(table: Sequence[str]) -> None:
    """Everybody who used something costs something, this month, and somebody pays for it."""
    header, *lines = table
    names = header.split()
    shown = {line.split()[0]: line.split() for line in lines}
    for agent in AGENTS:
        if agent.readable:
            row = dict(zip(names, shown[agent.name], strict=True))
            assert "$" in row["COST"], table
            assert row["COST"] == row["MTD"], table
            assert row["COST-CENTER"] == _pays(agent), table


def _check_statement(table: Sequence[str], tokens: dict[str, int]) -> None:
    """One line an agent, of who pays for it; their tokens sum to the total."""
    _, *lines, total = table
    rows = {cells[2]: cells for cells in map(str.split, lines)}
    assert len(rows) == len(lines), table
    stated = {name: int(cells[-3].replace(",", "")) for name, cells in rows.items()}
    assert stated == {name: used for name, used in tokens.items() if used}
    assert total.split()[-3] == f"{sum(tokens.values()):,}"
    assert {name: cells[1] for name, cells in rows.items()} == {
        agent.name: _pays(agent) for agent in AGENTS if agent.readable
    }


def _pays(agent: SampleAgent) -> str:
    return agent.pods_cost_center or agent.cost_center or COST_CENTER


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
