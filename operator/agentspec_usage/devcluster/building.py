"""Build one program with Go, from a copy of its module, into a place that sees whole binaries only.

Nothing is written next to the package (it may be read-only, and shared): the module is copied into
a scratch directory inside the cache, built there, and the binary moved to its name in one rename.
Whatever ends a build in between leaves a scratch directory at most, which the next one removes.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agentspec_usage.devcluster.errors import BuildError
from agentspec_usage.devcluster.programs import Program, module_sources
from agentspec_usage.devcluster.progress import Progress
from agentspec_usage.devcluster.running import run_to_end
from agentspec_usage.devcluster.toolchain import build_environment

__all__ = ["build", "remove_unfinished"]

_SCRATCH_PREFIX: Final = ".unfinished-"
_REMEDIES: Final[tuple[tuple[str, str], ...]] = (
    ("dial tcp", "The Go module proxy was not reached: check the network, or set GOPROXY."),
    ("no such host", "The Go module proxy was not reached: check the network, or set GOPROXY."),
    ("no space left on device", "The disk is full: free some and build again."),
    ("signal: killed", "Go was killed, most likely for want of memory: about 3 GiB must be free."),
)


def build(
    program: Program,
    target: Path,
    *,
    go: Path,
    environ: Mapping[str, str],
    lock: int,
    progress: Progress,
) -> None:
    """Put the built program at ``target``. The caller holds the cache's lock, whose descriptor is
    ``lock``.

    Go's processes inherit it: when this program is killed and Go lives on for a while, nobody
    starts a second build beside it.
    """
    scratch = target.parent.parent / f"{_SCRATCH_PREFIX}{program.name}"
    scratch.mkdir(mode=0o700, parents=True)
    try:
        source = scratch / "module"
        for relative, content in module_sources(program.module):
            file = source / relative
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        built = scratch / program.name
        command = [
            *(str(go), "build", "-v", "-trimpath", "-buildvcs=false", "-mod=readonly"),
            *("-ldflags", program.module.linker_flags, "-o", str(built), program.package),
        ]
        code, said = run_to_end(
            command,
            directory=source,
            environment=build_environment(environ, scratch),
            told=_Counted(progress).line,
            keep=lock,
        )
        if code:
            raise BuildError(_failure(program, command, code, said))
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        built.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove_unfinished(cache: Path) -> None:
    """Clear what killed builds left. Only for the holder of the lock: nobody builds now."""
    for scratch in cache.glob(f"{_SCRATCH_PREFIX}*"):
        shutil.rmtree(scratch, ignore_errors=True)


class _Counted:
    """Go's own progress (one line a module or package), as a count that visibly grows."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._modules = 0
        self._packages = 0

    def line(self, text: str) -> None:
        if text.startswith("go: downloading"):
            self._modules += 1
        elif text:
            self._packages += 1
        if self._packages:
            self._progress.tick(f"{self._packages} packages compiled")
        elif self._modules:
            self._progress.tick(f"{self._modules} modules downloaded")
        else:
            self._progress.tick()


def _failure(program: Program, command: list[str], code: int, said: str) -> str:
    remedy = next(
        (remedy for symptom, remedy in _REMEDIES if symptom in said),
        "Build again: what is compiled already is kept by Go.",
    )
    return f"building {program.name}: {' '.join(command)} ended with {code}:\n{said}\n{remedy}"
