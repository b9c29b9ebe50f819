"""Invariants by name: what a simulation breaks is what a failing program says."""

from __future__ import annotations

__all__ = ["Violated", "hold"]


class Violated(AssertionError):
    """An invariant did not hold. ``law`` is its name in the accounting rules."""

    def __init__(self, law: str, detail: str) -> None:
        super().__init__(f"{law}: {detail}")
        self.law = law


def hold(law: str, condition: bool, detail: object) -> None:
    """``condition`` is what ``law`` demands."""
    if not condition:
        raise Violated(law, str(detail))
