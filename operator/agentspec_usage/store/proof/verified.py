"""What came of reading a whole journal again."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Dropped", "Finding", "Verified", "WrongError"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that is wrong: ``where`` (a row, a batch, a sum), and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows that were dropped by policy, all of before ``until`` (ms). ``key_id`` is who signed
    what is left of them; "" where nobody did."""

    rows: int
    until: int
    key_id: str


@dataclass(frozen=True, slots=True)
class Verified:
    """How far the journal holds. ``finding`` is None when all of it does."""

    ledger: str
    rows: int
    batches: int
    erased: int
    signed: int
    """Heads of the chain that are signed, each with a good signature where a key was given."""
    unsigned_rows: int
    """Rows after the last signed head: an edit of them and of their batches would not show."""
    unsigned_periods: int
    """Periods that were closed after it: that one of them is gone would not show."""
    finding: Finding | None = None
    dropped: Dropped | None = None


class WrongError(Exception):
    """Ends a reading of the journal at what is wrong first."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.finding = Finding(where, what)
