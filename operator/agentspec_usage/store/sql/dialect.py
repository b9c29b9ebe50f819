"""What the two databases say differently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentspec_usage.metering.counts import MAX_COUNT

__all__ = ["Dialect"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """A database's own words, for statements that are written once."""

    name: str
    least_of: str
    """The function that gives the least of its arguments."""
    greatest_of: str
    exact_sum: str
    """A sum that never fails, however large: ``{}`` is what is summed."""
    json_of: str
    """The value ``{}``, a text, a whole number or NULL, as RFC 8785 writes it."""
    statements: Callable[[str], Sequence[str]]
    """The statements of a text of DDL, which is written in SQLite's words."""

    def least(self, *terms: str) -> str:
        return f"{self.least_of}({', '.join(terms)})"

    def greatest(self, *terms: str) -> str:
        return f"{self.greatest_of}({', '.join(terms)})"

    def summed_count(self, expression: str) -> str:
        """The sum of counts, which stops at the largest one, on either side, as every count does.

        A plain ``sum`` fails beyond 2^63, and what one agent claims must not keep others from their
        sums.
        """
        total = self.exact_sum.format(expression)
        return (
            f"CAST({self.least(self.greatest(total, f'-{MAX_COUNT}'), str(MAX_COUNT))} AS BIGINT)"
        )
