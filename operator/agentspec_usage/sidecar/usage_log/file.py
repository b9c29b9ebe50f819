"""A log file of whole lines, rotated by size.

Whatever the disk does, what is in the file are whole lines: a write that stopped in the middle is
taken back, and the torn end that a killed process left is cut when the file is opened. A file that
cannot be opened or written is tried again with the next lines, so that the log goes on by itself
once there is room.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["RotatedFile"]

_STEP = 64 * 1024
"""Bytes in which the last line is searched, from the end: more than a line of ours has."""


class RotatedFile:
    """``path``, and ``path.1`` (the newest) to ``path.<kept>`` of what it was before."""

    def __init__(self, path: Path, max_bytes: int, kept: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._file: int | None = None
        self._size = 0

    def write(self, lines: bytes) -> int:
        """Append whole lines; how many of their bytes are in the file, always whole lines.

        Raises OSError when nothing could be written.
        """
        if self._file is not None and self._size and self._size + len(lines) > self._max_bytes:
            self._rotate()
        file = self._opened()
        written = 0
        try:
            while written < len(lines):
                written += os.write(file, lines[written:])
        except OSError:
            whole = lines.rfind(b"\n", 0, written) + 1
            self._take_back(file, self._size + whole)
            if not whole:
                raise
            written = whole
        self._size += written
        return written

    def sync(self) -> None:
        """To the disk. Raises OSError."""
        if self._file is not None:
            os.fsync(self._file)

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            # The group may read: whoever ships logs is another user of the pod.
            file = os.open(self._path, flags, 0o640)
            try:
                self._size = _cut_torn_line(file)
            except OSError:
                os.close(file)
                raise
            self._file = file
        return self._file

    def _take_back(self, file: int, size: int) -> None:
        try:
            os.ftruncate(file, size)
        except OSError:
            # Opened again with the next line, where the torn one is cut.
            self.close()

    def _rotate(self) -> None:
        """A rename makes room for no one, so it is no fault of a full disk."""
        self.close()
        for number in range(self._kept, 0, -1):
            older = self._path if number == 1 else self._numbered(number - 1)
            with contextlib.suppress(FileNotFoundError):
                older.replace(self._numbered(number))
        if not self._kept:
            self._path.unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _cut_torn_line(file: int) -> int:
    """The size without a line that has no end."""
    size = os.fstat(file).st_size
    whole = 0
    for start in range(max(size - _STEP, 0), -_STEP, -_STEP):
        position = max(start, 0)
        found = os.pread(file, start + _STEP - position, position).rfind(b"\n")
        if found >= 0:
            whole = position + found + 1
            break
    if whole < size:
        os.ftruncate(file, whole)
    return whole
