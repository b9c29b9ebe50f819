"""A filesystem of a few MiB, where the system lets one be made."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["small_filesystem"]


@contextmanager
def small_filesystem(parent: Path, size: int) -> Iterator[tuple[Path, Path]]:
    """A directory with room for ``size`` bytes, and a file in it whose removal makes more room."""
    directory = parent / "small"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={4 * size},mode=0700", "tmpfs", directory],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    if mounted.returncode or not os.path.ismount(directory):
        pytest.skip(f"a tmpfs may not be mounted here: {mounted.stderr.strip()}")
    try:
        ballast = directory / "ballast"
        ballast.write_bytes(bytes(3 * size))
        yield directory, ballast
    finally:
        subprocess.run(["umount", directory], timeout=10, check=True)
