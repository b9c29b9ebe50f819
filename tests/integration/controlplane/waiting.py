"""Waiting for what must come: polled with a deadline that only a defect reaches."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["until"]


def until(look: Callable[[], object], what: str, *, deadline: float = 30.0) -> None:
    """Return when ``look`` is true; after ``deadline`` seconds an AssertionError says ``what``."""
    end = time.monotonic() + deadline
    while not look():
        assert time.monotonic() < end, f"not within {deadline:g} s: {what}"
        time.sleep(0.05)
