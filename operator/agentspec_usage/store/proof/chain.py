"""The chain: each batch names the one before it by its hash.

A batch is rows that were stored together; or it has no rows and says that a period was closed, by
the hash of what was written down of it. So the hash of the newest batch, its *head*, stands for
every row that was ever accepted and for every period that was ever closed, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from agentspec_usage.store.proof.rows import canonical
from agentspec_usage.store.proof.tree import EMPTY_ROOT

__all__ = ["Batch", "Head", "follows", "genesis"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows ``first`` to ``last``, stored together at ``at`` (ms).

    Where ``closes`` is the hash (hex) of a period that was closed there are none: ``last`` is the
    row before ``first``.
    """

    number: int
    previous: bytes
    first: int
    last: int
    root: bytes
    at: int
    closes: str | None = None

    @property
    def hash(self) -> bytes:
        document = canonical(
            {
                "at": self.at,
                "batch": self.number,
                "closes": self.closes,
                "first": self.first,
                "last": self.last,
                "previous": self.previous.hex(),
                "root": self.root.hex(),
            }
        )
        return sha256(b"\2" + document).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain stands: its newest batch, that batch's hash, its newest row."""

    batch: int
    hash: bytes
    last: int


def genesis(ledger: str, first: int) -> Head:
    """What the first batch follows: the ledger's own beginning, at row ``first``."""
    begun = sha256(b"\3" + canonical({"first": first, "ledger": ledger})).digest()
    return Head(0, begun, first - 1)


def follows(batch: Batch, head: Head) -> str:
    """What is wrong with ``batch`` as the next after ``head``; "" when it is the next."""
    if batch.number != head.batch + 1:
        return f"expected batch {head.batch + 1}, found batch {batch.number}"
    if batch.previous != head.hash:
        return f"batch {batch.number} does not follow batch {head.batch} as it is"
    if batch.first != head.last + 1:
        return f"batch {batch.number} begins at row {batch.first}, expected row {head.last + 1}"
    if batch.closes is None and batch.last < batch.first:
        return f"batch {batch.number} has no rows and closes no period"
    if batch.closes is not None and (batch.last != head.last or batch.root != EMPTY_ROOT):
        return f"batch {batch.number} closes a period and has rows"
    return ""
