"""The boundary between metering and the calls that it watches: a fault in here ends here.

Reading usage, telling the ledger and judging budgets run beside somebody's model call. A fault of
theirs is logged once per place and kind, by its type and never by its text (which may quote a
prompt), counted, and the call goes on. What went unread that way is told as an unmetered call, so
the doubt is shown where the numbers are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["Shield"]

logger = logging.getLogger(__name__)

_MAX_SEEN = 256

P = ParamSpec("P")
R = TypeVar("R")


class Shield:
    """``faults`` is how many ended here."""

    __slots__ = ("_seen", "faults")

    def __init__(self) -> None:
        self.faults = 0
        self._seen: set[tuple[str, str]] = set()

    def run(self, work: Callable[P, R], otherwise: R, *args: P.args, **kwargs: P.kwargs) -> R:
        """What ``work`` returns, or ``otherwise`` if it failed. Interrupts and exits pass."""
        try:
            return work(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the named boundary: nothing of ours breaks a call
            self.faults += 1
            place = getattr(work, "__qualname__", type(work).__qualname__)
            kind = type(error).__qualname__
            if (place, kind) not in self._seen and len(self._seen) < _MAX_SEEN:
                self._seen.add((place, kind))
                logger.warning("metering fault (logged once)", extra={"place": place, "kind": kind})
            return otherwise
