"""Signing where the journal stands, now and then and at the end, and telling it to a file.

A checkpoint proves something only to whoever keeps it where the database's owner cannot reach, so
each is appended to a file that can lie elsewhere or be shipped as it grows. A head that is signed
is not signed again: an idle control plane writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Protocol

from agentspec_usage.errors import AgentspecUsageError
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.sqlite.journal import Signer

__all__ = ["Checkpoints", "SignedStore"]

logger = logging.getLogger(__name__)


class SignedStore(Protocol):
    """A store with a journal."""

    async def sign_head(self, signer: Signer, now: int) -> SignedCheckpoint | None:
        """Sign where the journal stands; None when that is signed."""
        ...


class Checkpoints:
    """Signs with ``signer``; ``file`` is None where nobody wants them beside the database."""

    def __init__(self, store: SignedStore, signer: Signer, clock: Clock, file: Path | None) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._file = file
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
            if signed is not None and self._file is not None:
                await asyncio.to_thread(_append, self._file, signed.text)
        except (AgentspecUsageError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            if self._failing != reason:
                logger.error("a checkpoint could not be kept", extra={"reason": reason})
            self._failing = reason or ""
            return
        self._failing = ""


def _append(file: Path, text: str) -> None:
    with file.open("a", encoding="ascii") as opened:
        opened.write(text)
