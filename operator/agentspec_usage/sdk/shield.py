"""The boundary between metering and its host: a fault in here ends here.

Metering is a guest in somebody's agent. Whatever it does beside a model call runs through
``shielded``: a fault is logged once per place and kind, by its type and never by its text (which
may quote a prompt), and the caller goes on as if there were no usage to be seen. What went
uncounted that way is counted as an unmetered call by the caller, so the doubt is shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["shielded"]

_LOG = logging.getLogger("agentspec_usage.sdk")
_SEEN: set[tuple[str, str]] = set()
_MAX_SEEN = 256

P = ParamSpec("P")
R = TypeVar("R")


def shielded(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """What ``work`` returns, or None if it failed. Interrupts and exits pass."""
    try:
        return work(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - the named boundary: nothing of ours may reach the host
        place = (getattr(work, "__qualname__", type(work).__qualname__), type(error).__qualname__)
        if place not in _SEEN and len(_SEEN) < _MAX_SEEN:
            _SEEN.add(place)
            _LOG.warning("metering fault in %s: %s (logged once)", *place)
        return None
