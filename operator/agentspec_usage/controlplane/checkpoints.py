"""Signing where the journal stands, now and then and at the end, and having it kept elsewhere.

A checkpoint proves something only to whoever keeps it where the database's owner cannot reach: a
file (``head_file``), a ConfigMap (``head_config_map``), or both. A head that is signed is not
signed again: an idle control plane writes nothing.

A head is signed in the database first. So what a crash, a full disk or an API server that is away
kept from a place is told there the next time, also by the next process; and of several control
planes on one database each tells the newest head, whoever signed it.

How old the proof is, is measured by what it does not cover: when nothing was stored, a head of
yesterday covers everything up to now.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from agentspec_usage.errors import AgentspecUsageError
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.sql.journal import Signer

__all__ = ["Checkpoints", "Keeper", "SignedStore"]

logger = logging.getLogger(__name__)


class SignedStore(Protocol):
    """A store with a journal."""

    async def sign_head(self, signer: Signer, now: int) -> SignedCheckpoint | None:
        """Sign where the journal stands; None when that is signed."""
        ...

    async def newest_checkpoint(self) -> SignedCheckpoint | None:
        """The newest head that was signed."""
        ...


class Keeper(Protocol):
    """A place outside the database. ``place`` is its name in logs and metrics."""

    @property
    def place(self) -> str: ...

    async def keep(self, newest: SignedCheckpoint) -> None:
        """Have ``newest`` there. Raises ``AgentspecUsageError`` or ``OSError`` if it is not."""
        ...


class Checkpoints:
    """Signs with ``signer``, and has each of ``keepers`` keep it.

    ``on_covered(what, at)`` is told up to when (ms) what was stored is covered by a head that is
    ``signed``, or that is kept in a place.
    """

    def __init__(
        self,
        store: SignedStore,
        signer: Signer,
        clock: Clock,
        keepers: Sequence[Keeper] = (),
        on_covered: Callable[[str, int], None] = lambda what, at: None,
    ) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._keepers = tuple(keepers)
        self._on_covered = on_covered
        self._kept: dict[str, SignedCheckpoint] = {}
        """What each place has, as far as this process knows."""
        self._failing: dict[str, str] = {}

    async def sign(self) -> None:
        """Sign the head if it is not. A failure is logged once and tried again the next time."""
        now = self._clock.now()
        try:
            signed = await self._store.sign_head(self._signer, now)
            newest = signed or await self._store.newest_checkpoint()
        except AgentspecUsageError as error:
            self._failed("signed", str(error))
            return
        self._covered("signed", now)
        for keeper in self._keepers:
            await self._keep(keeper, newest, now)

    async def _keep(self, keeper: Keeper, newest: SignedCheckpoint | None, now: int) -> None:
        if newest is not None and self._kept.get(keeper.place) != newest:
            try:
                await keeper.keep(newest)
            except AgentspecUsageError as error:
                self._failed(keeper.place, str(error))
                return
            except OSError as error:
                self._failed(keeper.place, error.strerror or str(error))
                return
            self._kept[keeper.place] = newest
        self._covered(keeper.place, now)

    def _covered(self, what: str, now: int) -> None:
        self._failing.pop(what, None)
        self._on_covered(what, now)

    def _failed(self, what: str, reason: str) -> None:
        if self._failing.get(what) != reason:
            logger.error("a checkpoint could not be kept", extra={"place": what, "reason": reason})
        self._failing[what] = reason
