"""Each command explains itself, and a person who mistypes gets a line and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("agentspec-usage")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="agentspec-usage"),
        pytest.param(("operator",), id="operator"),
        pytest.param(("controlplane",), id="controlplane"),
        pytest.param(("sidecar",), id="sidecar"),
        pytest.param(("statement",), id="statement"),
        pytest.param(("verify",), id="verify"),
        pytest.param(("signing-key",), id="signing-key"),
        pytest.param(("devcluster",), id="devcluster"),
        *[
            pytest.param(("devcluster", verb), id=f"devcluster {verb}")
            for verb in ("up", "down", "status", "kubeconfig", "build")
        ],
    ],
)
def test_a_command_explains_itself(arguments: tuple[str, ...]) -> None:
    done = _run(*arguments, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {' '.join(('agentspec-usage', *arguments))}")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("opperator",), "opperator", id="unknown command"),
        pytest.param(("operator", "--write-budget=much"), "--write-budget 'much'", id="bad value"),
        pytest.param(("operator", "--no-such-flag"), "--no-such-flag", id="unknown flag"),
        pytest.param(
            ("operator", "--kubeconfig=/does/not/exist", "--no-leader-elect"),
            "/does/not/exist",
            id="kubeconfig that is missing",
        ),
    ],
)
def test_what_is_wrong_with_the_input_is_named_without_a_traceback(
    arguments: tuple[str, ...], named: str
) -> None:
    done = _run(*arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
