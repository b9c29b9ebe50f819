"""Run kubectl or helm to its end, with an environment that knows one cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentspec_usage.devcluster.errors import CommandError

__all__ = ["run"]


def run(
    program: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: str | None = None,
    timeout: float,
) -> str:
    """Its standard output; what it wrote to standard error is in the error only."""
    command = " ".join((program.name, *arguments))
    try:
        done = subprocess.run(
            [str(program), *arguments],
            env=dict(environment),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(command, -1, f"not done after {timeout:g} s") from error
    if done.returncode:
        raise CommandError(command, done.returncode, done.stdout + done.stderr)
    return done.stdout
