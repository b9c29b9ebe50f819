"""Seeded bugs, each applied to the shipped source by name: the simulation must notice them all.

    python -m tests.simulation.mutants              a table of all; exit code 1 if one lives
    python -m tests.simulation.mutants "ignore since"
    python -m tests.simulation.mutants --profile soak

Each runs in an interpreter of its own. What is counted are the programs that ran until one broke an
invariant, without shrinking.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.delivery_mutants import DELIVERY_MUTANTS
from tests.simulation.patching import Mutant, StaleMutant, install
from tests.simulation.pod_mutants import POD_MUTANTS
from tests.simulation.status_mutants import STATUS_MUTANTS
from tests.simulation.store_mutants import STORE_MUTANTS
from tests.simulation.tail_mutants import TAIL_MUTANTS

__all__ = ["MUTANTS", "Verdict", "judge", "main"]

ROOT = Path(__file__).parents[2]

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant
    for mutant in (*DELIVERY_MUTANTS, *STORE_MUTANTS, *POD_MUTANTS, *STATUS_MUTANTS, *TAIL_MUTANTS)
}

EXAMPLES = {"ci": 1500, "soak": 20_000}
"""Programs to try; a bug that is noticed ends its trial, so only one that lives takes them all."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant: ``law`` killed it in the program with that number, or it lives."""

    mutant: str
    law: str
    examples: int

    @property
    def killed(self) -> bool:
        return bool(self.law)


def judge(name: str, profile: str = "ci", timeout: float = 600) -> Verdict:
    """Run the mutant in a fresh interpreter. ``StaleMutant`` when the source has moved on."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.mutants", "--here", name, "--profile", profile],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise StaleMutant(f"{name}: {done.stderr.strip()}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Verdict(name, found["law"], found["examples"])


def _judge_here(mutant: Mutant, profile: str) -> Verdict:
    install(mutant)
    # Only now: what the machines import must not have been loaded before.
    from tests.simulation.trial import first_violation

    law, examples = first_violation(mutant.machine, EXAMPLES[profile])
    return Verdict(mutant.name, law, examples)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("name", nargs="*", help="mutants to run; all when none is named")
    parser.add_argument("--profile", choices=sorted(EXAMPLES), default="ci")
    parser.add_argument("--here", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.here:
        verdict = _judge_here(MUTANTS[options.here], options.profile)
        _say(json.dumps({"law": verdict.law, "examples": verdict.examples}))
        return 0
    names = options.name or list(MUTANTS)
    width = max(map(len, names))
    _say(f"{'MUTANT':{width}}  KILLED BY  PROGRAMS")
    lives = 0
    for name in names:
        verdict = judge(name, options.profile)
        lives += not verdict.killed
        _say(f"{name:{width}}  {verdict.law or 'LIVES':9}  {verdict.examples}")
    return 1 if lives else 0


if __name__ == "__main__":
    sys.exit(main())
