"""Waiting for what must come: polled with a deadline that only a defect reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["until"]

Value = TypeVar("Value")

_DEADLINE = 45.0
_PAUSE = 0.1


def until(
    look: Callable[[], Value | None],
    what: str,
    *,
    deadline: float = _DEADLINE,
    shown: object = None,
) -> Value:
    """The first true value of ``look``.

    After ``deadline`` seconds an AssertionError that says ``what``, with ``shown`` or what that
    returns when called.
    """
    end = time.monotonic() + deadline
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > end:
            seen = shown() if callable(shown) else shown
            raise AssertionError(f"not within {deadline:g} s: {what}; last seen: {seen!r}")
        time.sleep(_PAUSE)
