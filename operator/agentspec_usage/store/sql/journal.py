"""The journal: each request's items, and each closing of a period, as a batch of the chain; and the
chain's head signed.

A batch is written in the transaction of what it stands for. Whoever holds a signed head from
outside can prove that nothing before it was changed (``verifying``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from agentspec_usage.store.proof.chain import Batch, Head, genesis
from agentspec_usage.store.proof.checkpoints import Checkpoint, SignedCheckpoint
from agentspec_usage.store.proof.tree import EMPTY_ROOT, root_of
from agentspec_usage.store.sql.connection import Connection

__all__ = [
    "Signer",
    "StoredBatch",
    "head_of",
    "ledger_of",
    "link_batch",
    "link_closing",
    "newest_checkpoint",
    "sign_head",
    "stored_batches",
]

_COLUMNS = "batch, previous, first_item, last_item, root, at, closes, hash"

_STORED = """
    SELECT batch, previous, first_item, last_item, root, batches.at, closes, hash,
    checkpoints.at, key_id, signature
    FROM batches LEFT JOIN checkpoints USING (batch) ORDER BY batch"""

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
    _link(connection, Batch(head.batch + 1, head.hash, first, last, root_of(leaves), now))


def link_closing(connection: Connection, closes: str, now: int) -> None:
    """Add to the chain that the period with this hash was closed."""
    head = head_of(connection)
    place = (head.batch + 1, head.hash, head.last + 1, head.last)
    _link(connection, Batch(*place, EMPTY_ROOT, now, closes))


class StoredBatch(NamedTuple):
    """A batch, the hash that it is stored with, and its head as it was signed, where it was."""

    batch: Batch
    hash: bytes
    signed: SignedCheckpoint | None


def stored_batches(connection: Connection) -> Iterator[StoredBatch]:
    """The batches in their order."""
    ledger, _ = ledger_of(connection)
    for *said, hashed, at, key_id, signature in connection.stream(_STORED):
        batch = Batch(*said)
        signed = None
        if signature is not None:
            head = Head(batch.number, hashed, batch.last)
            signed = SignedCheckpoint(Checkpoint(ledger, head, at, key_id), signature)
        yield StoredBatch(batch, hashed, signed)


def _link(connection: Connection, batch: Batch) -> None:
    connection.execute(
        f"INSERT INTO batches ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(batch.number, batch.previous, batch.first, batch.last),
            *(batch.root, batch.at, batch.closes, batch.hash),
        ),
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
