"""RFC 6962's tree of hashes: a root that stands for its leaves, their number and their order."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

__all__ = ["EMPTY_ROOT", "root_of"]

EMPTY_ROOT = sha256().digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of leaves that are hashed already; nodes are ``H(1, left, right)``.

    Level by level, an odd node moving up as it is: this makes RFC 6962's tree, whose left part is
    the largest power of two.
    """
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        parents = [
            sha256(b"\1" + level[place] + level[place + 1]).digest()
            for place in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            parents.append(level[-1])
        level = parents
    return level[0]
