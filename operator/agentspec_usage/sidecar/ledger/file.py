"""The ledger file: lines that are appended, and now and then replaced as a whole.

A line is in the kernel once ``append`` returns, which is all that outliving this process takes: one
write costs some microseconds, so lines are not gathered. The disk has it after ``sync``, which is
called before anything is *sent*: what the control plane was told must not be forgotten, or its
numbers would be given to other calls. A node that loses power forgets what was counted in the last
seconds and sent nowhere; the file is then not gone on with.

Whether it is gone on with: a file may lack events that were shown already, when the machine was
started anew since, when lines before the end are damaged, or when it could not be written. In the
last case nothing can be written into it either, so its name says so (``doubtful``). The reader then
begins another instance with what there is. Only a torn last line is no doubt: its event was never
shown.
"""

from __future__ import annotations

import errno
import fcntl
import os
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agentspec_usage.errors import SettingsError
from agentspec_usage.sidecar.ledger.values import LAYOUT

__all__ = ["LedgerFile", "ReadBack", "Replacement"]

_NAME = "ledger"
_DOUBTFUL = "ledger.doubtful"
_UNREADABLE = "ledger.unreadable"
_REPLACEMENT = "ledger.part"
_LOCK = "ledger.lock"
_MAGIC = b"agentspec-usage ledger"


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What an earlier life left: lines, and why they may lack some that were shown ("" if not)."""

    lines: Sequence[bytes] = ()
    doubt: str = ""


class LedgerFile:
    """Open for one process; raises ``OSError`` wherever the disk refuses."""

    def __init__(self, directory: Path, boot: str) -> None:
        """``boot`` names the machine's run since it was started, "" where that is not known."""
        self._directory = directory
        self._boot = boot
        self._file = -1
        self._lock = -1
        self._size = 0
        self._synced = 0
        self._renamed = False

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    @property
    def unsynced(self) -> int:
        """Bytes of it that a crash of the machine may forget."""
        return self._size - self._synced

    def open(self) -> ReadBack:
        """Lock the directory and read what is there. ``SettingsError`` if another process has it.

        Nothing can be appended before ``replace``d once: what was read is never appended to, so
        that a torn end needs no care.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise SettingsError(
                f"{self._directory}: expected a directory of this sidecar's own, another process "
                "has it locked"
            ) from error
        for name, doubt in ((_NAME, ""), (_DOUBTFUL, "the file could not be written")):
            try:
                content = (self._directory / name).read_bytes()
            except FileNotFoundError:
                continue
            return self._read(name, content, doubt)
        return ReadBack()

    def append(self, line: bytes) -> None:
        """Add one line. After an error the file is as it was before, or doubtful."""
        framed = _framed(line)
        written = os.write(self._file, framed)
        if written != len(framed):
            # The disk is full: what did fit is no line.
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def doubt(self) -> None:
        """From now on more is shown than the file has, if there is one that was not doubtful."""
        with suppress(FileNotFoundError):
            (self._directory / _NAME).replace(self._directory / _DOUBTFUL)

    def put_aside(self, name: str = _NAME) -> None:
        """What stands there cannot be read: it stays, under another name, for somebody to look."""
        (self._directory / name).replace(self._directory / _UNREADABLE)

    def sync(self) -> None:
        """Return when every line so far is on the disk. Not at the same time as ``replace``."""
        size = self._size
        if size > self._synced:
            os.fdatasync(self._file)
            self._synced = size
        if self._renamed:
            self._renamed = False
            directory = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def replacement(self) -> Replacement:
        """Begin a file that will stand in place of this one."""
        return Replacement.begin(self._directory / _REPLACEMENT, self._head())

    def replace(self, replacement: Replacement) -> None:
        """Go on in ``replacement``. What was synced of it is on the disk before its name is."""
        (self._directory / _REPLACEMENT).replace(self._directory / _NAME)
        (self._directory / _DOUBTFUL).unlink(missing_ok=True)
        if self._file >= 0:
            os.close(self._file)
        self._file = replacement.descriptor
        self._size, self._synced = replacement.size, replacement.synced
        self._renamed = True

    def close(self) -> None:
        """Let go of the file and of the lock."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _head(self) -> bytes:
        return b"%b\t%d\t%b" % (_MAGIC, LAYOUT, self._boot.encode("ascii", "replace"))

    def _read(self, name: str, content: bytes, doubt: str) -> ReadBack:
        head, lines, damaged = _whole_lines(content)
        magic, _, rest = head.partition(b"\t")
        layout, _, boot = rest.partition(b"\t")
        if magic != _MAGIC or layout != b"%d" % LAYOUT:
            self.put_aside(name)
            return ReadBack(doubt="the file is not of this program's version")
        if damaged:
            doubt = "the file is damaged"
        elif boot != self._head().rpartition(b"\t")[2]:
            doubt = "the machine was started anew"
        return ReadBack(lines, doubt)


class Replacement:
    """A file that becomes the ledger file when it is whole. Used beside the running program."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = 0
        self.synced = 0

    @classmethod
    def begin(cls, path: Path, head: bytes) -> Self:
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        begun = cls(os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600))
        begun.write((head,))
        return begun

    def write(self, lines: Iterable[bytes]) -> None:
        """Add lines, many at a time."""
        gathered = bytearray()
        for line in lines:
            gathered += _framed(line)
            if len(gathered) >= _GATHERED:
                self._flush(gathered)
        self._flush(gathered)

    def sync(self) -> None:
        os.fsync(self.descriptor)
        self.synced = self.size

    def abandon(self) -> None:
        """It does not become the ledger file after all."""
        os.close(self.descriptor)

    def _flush(self, gathered: bytearray) -> None:
        if gathered and os.write(self.descriptor, gathered) != len(gathered):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += len(gathered)
        gathered.clear()


_GATHERED = 256 * 1024


def _framed(line: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(line), line)


def _whole_lines(content: bytes) -> tuple[bytes, list[bytes], bool]:
    """The first line, those after it up to the first damaged one, and whether there is more."""
    whole: list[bytes] = []
    lines = content.splitlines(keepends=True)
    for line in lines:
        checksum, _, body = line.partition(b" ")
        if not body.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body[:-1]):
            break
        whole.append(body[:-1])
    torn = len(lines) == len(whole) + 1 and not lines[-1].endswith(b"\n")
    damaged = len(whole) < len(lines) and not torn
    return (whole[0] if whole else b""), whole[1:], damaged
