"""Ed25519 keys: making one, signing with it, and checking what it signed.

A key's id is the start of its public key's SHA-256, so that nobody has to hand out names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from agentspec_usage.errors import SettingsError
from agentspec_usage.store.proof.chain import Head
from agentspec_usage.store.proof.checkpoints import Checkpoint, SignedCheckpoint

__all__ = ["Signer", "new_key_pair", "read_public_key", "read_signer", "signed_by", "signed_by_any"]


class Signer:
    """Signs heads."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = key_id_of(key.public_key())

    def sign(self, ledger: str, head: Head, at: int) -> SignedCheckpoint:
        return self.signed(Checkpoint(ledger, head, at, self.key_id))

    def signed(self, checkpoint: Checkpoint) -> SignedCheckpoint:
        """``checkpoint``, whose key id is this key's, with this key's signature."""
        return SignedCheckpoint(checkpoint, self._key.sign(checkpoint.text.encode()))


def key_id_of(key: Ed25519PublicKey) -> str:
    return sha256(key.public_bytes_raw()).hexdigest()[:16]


def signed_by(signed: SignedCheckpoint, key: Ed25519PublicKey) -> bool:
    """Whether ``key`` signed it."""
    if signed.checkpoint.key_id != key_id_of(key):
        return False
    try:
        key.verify(signed.signature, signed.checkpoint.text.encode())
    except InvalidSignature:
        return False
    return True


def signed_by_any(keys: Sequence[Ed25519PublicKey]) -> Callable[[SignedCheckpoint], bool]:
    """Whether one of ``keys`` signed it: the present one, and those before it."""
    return lambda signed: any(signed_by(signed, key) for key in keys)


def new_key_pair() -> tuple[bytes, bytes]:
    """A new key: the private one and the public one, each in PEM."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def read_signer(path: Path) -> Signer:
    """The key in the file. Raises ``SettingsError`` when there is none."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"{path}: expected a file with an Ed25519 private key (PEM)") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path}: expected an Ed25519 key, found another kind")
    return Signer(key)


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in the file. Raises ``SettingsError`` when there is none."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: expected a file with an Ed25519 public key (PEM)") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(f"{path}: expected an Ed25519 key, found another kind")
    return key
