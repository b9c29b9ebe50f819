"""The file to which signed heads are appended: it can lie elsewhere, or be shipped as it grows.

What a crash or a full disk cut off in the middle of a text is taken away before another is
appended, because a file with half a text in it cannot be read.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from stat import S_ISREG

from agentspec_usage.store.proof.checkpoints import TITLE, SignedCheckpoint

__all__ = ["HeadFile"]

_LARGEST_TEXT = 1024
_END = re.compile(rb"signature [A-Za-z0-9+/=]{88}\n")


class HeadFile:
    """Keeps every head that it is given."""

    place = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    async def keep(self, newest: SignedCheckpoint) -> None:
        """Append ``newest``, unless it ends the file already. Raises ``OSError``."""
        await asyncio.to_thread(_append, self._path, newest.text.encode())


def _append(path: Path, text: bytes) -> None:
    with path.open("ab") as opened:
        regular = S_ISREG(os.fstat(opened.fileno()).st_mode)
        if regular:
            size = opened.tell()
            tail = _tail(path, size)
            if tail.endswith(text):
                return
            opened.truncate(size - _cut_off(tail))
        opened.write(text)
        opened.flush()
        if regular:
            os.fsync(opened.fileno())


def _tail(path: Path, size: int) -> bytes:
    with path.open("rb") as opened:
        opened.seek(max(size - _LARGEST_TEXT, 0))
        return opened.read()


def _cut_off(tail: bytes) -> int:
    """How many bytes at the end are the beginning of a text and no whole one."""
    ends = [found.end() for found in _END.finditer(tail)]
    rest = tail[ends[-1] if ends else 0 :]
    title = TITLE.encode()
    return len(rest) if rest.startswith(title) or title.startswith(rest) else 0
