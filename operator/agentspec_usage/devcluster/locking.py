"""One at a time, across processes: an advisory lock on a file, held until its holder ends.

The kernel releases the lock when the last descriptor of it closes, so a holder that was killed
leaves no stale lock. The file's content, the holder's pid, is only told to those who wait; it
decides nothing.

A holder may delete the lock's directory before it lets go. Whoever waited then holds a lock on a
file that is no longer there, and takes the new one instead.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["exclusive"]

_RETRY_SECONDS = 0.2


@contextmanager
def exclusive(path: Path, waiting: Callable[[int | None], None]) -> Iterator[int]:
    """Hold the lock at ``path``, whose directory is made if it is missing (mode 0700).

    ``waiting`` is called again and again, with the holder's pid if known, while another process
    holds it. Yields the lock's descriptor: a child that inherits it keeps the lock until it ends as
    well.
    """
    descriptor = _acquire(path, waiting)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(path: Path, waiting: Callable[[int | None], None]) -> int:
    while True:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # the holder removed the directory just now
            continue
        try:
            _lock(descriptor, waiting)
            if _is_still_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, waiting: Callable[[int | None], None]) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting(_holder(descriptor))
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _holder(descriptor: int) -> int | None:
    written = os.pread(descriptor, 32, 0).strip()
    return int(written) if written.isdigit() else None


def _is_still_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
