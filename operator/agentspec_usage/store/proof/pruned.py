"""What is signed when rows are dropped: a checkpoint that also says what the rows had left behind.

The chain itself stays whole: each batch has its root, and the next batch names its hash. What is
lost is only that the rows can be hashed again, so what was computed from them is sealed instead::

    agentspec-usage pruned v1
    ledger 3f0c…
    batch 1207
    row 88123
    head 9a41…
    until 2026-10-01T00:00:00.000Z
    kept 77e0…
    totals 1c9b…
    sums 40d2…
    at 2026-11-22T19:00:00.000Z
    key 5d0e…

``kept`` is the hash of the rows up to there that were not dropped, ``totals`` that of the dropped
rows' sums by instance and series and of the sessions' last links, ``sums`` that of all sums kept by
time before ``until``, which is the end of a closed period: they never change.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.store.proof.checkpoints import Checkpoint

__all__ = ["Pruned"]


@dataclass(frozen=True, slots=True)
class Pruned(Checkpoint):
    """Rows up to ``head`` were dropped. ``key_id`` is "" where nobody signed it."""

    until: int
    kept: bytes
    totals: bytes
    sums: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        head = self.head
        return (
            f"agentspec-usage pruned v1\nledger {self.ledger}\nbatch {head.batch}\n"
            f"row {head.last}\nhead {head.hash.hex()}\nuntil {to_rfc3339(self.until)}\n"
            f"kept {self.kept.hex()}\ntotals {self.totals.hex()}\nsums {self.sums.hex()}\n"
            f"at {to_rfc3339(self.at)}\nkey {self.key_id}\n"
        )
