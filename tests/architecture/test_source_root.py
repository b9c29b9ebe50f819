"""``operator/`` is a source root and no package: as one it would shadow Python's ``operator``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_operator_is_no_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_a_fresh_interpreter_in_the_repository_imports_the_standard_operator() -> None:
    script = "import operator, collections; print(operator.add(2, 3), operator.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    total, path = done.stdout.split(maxsplit=1)
    assert total == "5"
    assert not Path(path.strip()).is_relative_to(ROOT / "operator")
