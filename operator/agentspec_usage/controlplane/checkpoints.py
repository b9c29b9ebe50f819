"""Signing where the journal stands, now and then and at the end, and telling it to a file.

A checkpoint proves something only to whoever keeps it where the database's owner cannot reach, so
each is appended to a file that can lie elsewhere or be shipped as it grows. A head that is signed
is not signed again: an idle control plane writes nothing.

A head is signed in the database first. So what a crash or a full disk kept from the file is told
the next time, also by the next process; and what was cut off in the middle of a text is taken away
before another is appended, because a file with half a text in it cannot be read.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from pathlib import Path
from stat import S_ISREG
from typing import Protocol

from agentspec_usage.errors import AgentspecUsageError
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.store.proof.checkpoints import TITLE, SignedCheckpoint
from agentspec_usage.store.sqlite.journal import Signer

__all__ = ["Checkpoints", "SignedStore"]

logger = logging.getLogger(__name__)

_LARGEST_TEXT = 1024
_END = re.compile(rb"signature [A-Za-z0-9+/=]{88}\n")


class SignedStore(Protocol):
    """A store with a journal."""

    async def sign_head(self, signer: Signer, now: int) -> SignedCheckpoint | None:
        """Sign where the journal stands; None when that is signed."""
        ...

    async def newest_checkpoint(self) -> SignedCheckpoint | None:
        """The newest head that was signed."""
        ...


class Checkpoints:
    """Signs with ``signer``; ``file`` is None where nobody wants them beside the database."""

    def __init__(self, store: SignedStore, signer: Signer, clock: Clock, file: Path | None) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._file = file
        self._told = False
        """Whether the newest signed head is in the file, as far as this process knows."""
        self._failing = ""

    async def run(self, seconds: float) -> None:
        """Sign every ``seconds``, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.sign()

    async def sign(self) -> None:
        """Sign the head if it is not. A failure is logged once and tried again the next time."""
        try:
            signed = await self._store.sign_head(self._signer, self._clock.now())
            if self._file is not None and (signed is not None or not self._told):
                self._told = False
                newest = signed or await self._store.newest_checkpoint()
                if newest is not None:
                    await asyncio.to_thread(_tell, self._file, newest.text.encode())
                self._told = True
        except (AgentspecUsageError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            if self._failing != reason:
                logger.error("a checkpoint could not be kept", extra={"reason": reason})
            self._failing = reason or ""
            return
        self._failing = ""


def _tell(file: Path, text: bytes) -> None:
    """Append ``text``, unless it is the newest in the file already."""
    with file.open("ab") as opened:
        regular = S_ISREG(os.fstat(opened.fileno()).st_mode)
        if regular:
            size = opened.tell()
            tail = _tail(file, size)
            if tail.endswith(text):
                return
            opened.truncate(size - _cut_off(tail))
        opened.write(text)
        opened.flush()
        if regular:
            os.fsync(opened.fileno())


def _tail(file: Path, size: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(max(size - _LARGEST_TEXT, 0))
        return opened.read()


def _cut_off(tail: bytes) -> int:
    """How many bytes at the end are the beginning of a text and no whole one."""
    ends = [found.end() for found in _END.finditer(tail)]
    rest = tail[ends[-1] if ends else 0 :]
    title = TITLE.encode()
    return len(rest) if rest.startswith(title) or title.startswith(rest) else 0
