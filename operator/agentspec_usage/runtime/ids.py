"""Identities: 128 random bits, and hashes of identities where chance must repeat itself."""

from __future__ import annotations

import hashlib
import secrets

__all__ = ["draw_128_bits", "draw_bytes", "new_instance_id", "stable_fraction"]


def draw_128_bits() -> str:
    """128 random bits from the operating system, as 32 lower-case hex digits."""
    return secrets.token_hex(16)


def draw_bytes(number: int) -> bytes:
    """Random bytes from the operating system."""
    return secrets.token_bytes(number)


def new_instance_id() -> str:
    """A fresh instance id: 32 lower-case hex digits. Never a name, a pid or a start time."""
    return draw_128_bits()


def stable_fraction(*parts: str) -> float:
    """A number in [0, 1) that depends on ``parts`` alone: jitter that every replica repeats."""
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
