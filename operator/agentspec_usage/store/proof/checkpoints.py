"""Checkpoints: the head of the chain as a short text that can be signed, kept and compared.

Whoever keeps one outside the database can prove later that no row before it was changed, inserted,
moved or removed, also if every table was written anew. The text is made of lines, in the manner of
the checkpoints of transparency logs::

    agentspec-usage checkpoint v1
    ledger 3f0c…
    batch 1207
    row 88123
    head 9a41…
    at 2026-11-22T19:00:00.000Z
    key 5d0e…
    signature …

The signature is Ed25519 over every line before it, each with its line end.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from agentspec_usage.errors import UsageError
from agentspec_usage.runtime.clock import from_rfc3339, to_rfc3339
from agentspec_usage.store.proof.chain import Head

__all__ = [
    "TITLE",
    "Checkpoint",
    "SignedCheckpoint",
    "parse_checkpoint",
    "split_checkpoints",
]

TITLE = "agentspec-usage checkpoint v1"
_FORM = re.compile(
    rf"{TITLE}\nledger (?P<ledger>[0-9a-f]{{32}})\nbatch (?P<batch>\d{{1,16}})\n"
    r"row (?P<row>\d{1,16})\nhead (?P<head>[0-9a-f]{64})\nat (?P<at>\S{20,30})\n"
    r"key (?P<key>[0-9a-f]{16})\nsignature (?P<signature>[A-Za-z0-9+/=]{88})\n?"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the ledger with the id ``ledger`` (32 hex digits) at a time (ms)."""

    ledger: str
    head: Head
    at: int
    key_id: str

    @property
    def text(self) -> str:
        """What is signed."""
        return (
            f"{TITLE}\nledger {self.ledger}\nbatch {self.head.batch}\nrow {self.head.last}\n"
            f"head {self.head.hash.hex()}\nat {to_rfc3339(self.at)}\nkey {self.key_id}\n"
        )


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint and the signature over its text."""

    checkpoint: Checkpoint
    signature: bytes

    @property
    def text(self) -> str:
        return f"{self.checkpoint.text}signature {base64.b64encode(self.signature).decode()}\n"


def parse_checkpoint(text: str) -> SignedCheckpoint:
    """The checkpoint that ``text`` is. Raises ``UsageError`` for anything else."""
    found = _FORM.fullmatch(text.strip() + "\n")
    if found is None:
        raise UsageError(f"expected a checkpoint, whose first line is {TITLE!r}")
    try:
        at = from_rfc3339(found["at"])
        signature = base64.b64decode(found["signature"], validate=True)
    except (ValueError, binascii.Error) as error:
        raise UsageError("expected a checkpoint with a time and a signature") from error
    head = Head(int(found["batch"]), bytes.fromhex(found["head"]), int(found["row"]))
    checkpoint = Checkpoint(found["ledger"], head, at, found["key"])
    return SignedCheckpoint(checkpoint, signature)


def split_checkpoints(text: str) -> list[SignedCheckpoint]:
    """The checkpoints of a file that holds one after the other. Raises ``UsageError``."""
    parts = text.split(f"{TITLE}\n")
    if parts[0].strip() or len(parts) == 1:
        raise UsageError(f"expected checkpoints, whose first line is {TITLE!r}")
    return [parse_checkpoint(f"{TITLE}\n{part}") for part in parts[1:]]
