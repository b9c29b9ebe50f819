"""One process a database: an advisory lock on a file beside it, held until the process ends.

SQLite itself would let two processes take turns; two writers would still disagree about what waits
and what was answered, and a rollout that starts the new pod before the old one has ended would do
exactly that. The kernel releases the lock with the last descriptor, so a killed process leaves
none behind. The file stays: removing it would let two processes lock two files of one name.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from agentspec_usage.store.errors import StoreUnusableError

__all__ = ["DatabaseLock"]


class DatabaseLock:
    """The lock of the database at ``path``, whose directory is made if there is none.

    Raises ``StoreUnusableError`` if another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnusableError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise StoreUnusableError(
                f"{path}: another process (pid {holder or 'unknown'}) has this database"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)
