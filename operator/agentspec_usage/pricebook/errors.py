"""What is wrong with a price book, and on which line."""

from __future__ import annotations

from agentspec_usage.errors import UsageError

__all__ = ["PriceBookError"]


class PriceBookError(UsageError):
    """An entry that cannot be used. A book is taken whole or not at all: a book without one of its
    entries would price by the next match, silently."""

    def __init__(self, line: int, path: str, expected: str) -> None:
        where = f"line {line}: {path}" if path else f"line {line}"
        super().__init__(f"price book, {where}: expected {expected}")
        self.line = line
        self.path = path
        self.expected = expected
