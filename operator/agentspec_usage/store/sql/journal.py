"""The journal: every request's items as a batch of the chain, and the chain's head signed.

A batch is written in the transaction of its items. Whoever holds a signed head from outside can
prove that nothing before it was changed (``verifying``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agentspec_usage.store.proof.chain import Batch, Head, genesis
from agentspec_usage.store.proof.checkpoints import Checkpoint, SignedCheckpoint
from agentspec_usage.store.proof.tree import root_of
from agentspec_usage.store.sql.connection import Connection

__all__ = [
    "Signer",
    "head_of",
    "ledger_of",
    "link_batch",
    "newest_checkpoint",
    "sign_head",
]

_NEWEST = "SELECT batch, hash, last_item FROM batches ORDER BY batch DESC LIMIT 1"


def ledger_of(connection: Connection) -> tuple[str, Head]:
    """The ledger's id, and what its first batch follows."""
    ledger, first = connection.execute("SELECT id, first_item FROM ledger").fetchone()
    return str(ledger), genesis(ledger, first)


def head_of(connection: Connection) -> Head:
    """Where the chain stands."""
    row = connection.execute(_NEWEST).fetchone()
    return ledger_of(connection)[1] if row is None else Head(*row)


def link_batch(connection: Connection, first: int, leaves: Sequence[bytes], now: int) -> None:
    """Add the items from ``first`` on, whose leaves these are, to the chain."""
    head = head_of(connection)
    last = first + len(leaves) - 1
    batch = Batch(head.batch + 1, head.hash, first, last, root_of(leaves), now)
    connection.execute(
        "INSERT INTO batches (batch, previous, first_item, last_item, root, at, hash) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (batch.number, batch.previous, first, last, batch.root, now, batch.hash),
    )


class Signer(Protocol):
    """Signs heads (``store.proof.signing``)."""

    def sign(self, ledger: str, head: Head, at: int) -> SignedCheckpoint: ...


def sign_head(connection: Connection, signer: Signer, now: int) -> SignedCheckpoint | None:
    """Sign the head, and keep that beside the chain; None when it is signed, or at the start."""
    head = head_of(connection)
    known = connection.execute("SELECT 1 FROM checkpoints WHERE batch = ?", (head.batch,))
    if not head.batch or known.fetchone() is not None:
        return None
    signed = signer.sign(ledger_of(connection)[0], head, now)
    connection.execute(
        "INSERT INTO checkpoints (batch, at, key_id, signature) VALUES (?, ?, ?, ?)",
        (head.batch, signed.checkpoint.at, signed.checkpoint.key_id, signed.signature),
    )
    return signed


def newest_checkpoint(connection: Connection) -> SignedCheckpoint | None:
    """The newest head that was signed."""
    row = connection.execute(
        "SELECT batch, hash, last_item, checkpoints.at, key_id, signature "
        "FROM checkpoints JOIN batches USING (batch) ORDER BY batch DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    batch, hashed, last, at, key_id, signature = row
    ledger, _ = ledger_of(connection)
    return SignedCheckpoint(Checkpoint(ledger, Head(batch, hashed, last), at, key_id), signature)
