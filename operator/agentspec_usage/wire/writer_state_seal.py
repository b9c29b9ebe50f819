"""The seal on ``status.writerState``: that an operator wrote these notes, and for this object.

    writerState = notes . key id . urlsafe base64( HMAC-SHA-256( key, purpose | uid | notes ) )

Whoever may patch a status could write notes that are whole and agree with the numbers beside them:
a checksum says that nothing was damaged, not who wrote. The notes hold the accounting epoch, every
total and all that it is the sum of, and the numbers that are shown follow from them; so the seal is
over the notes, and an edit of a number that is shown leaves notes that still vouch for the true
one. The uid is in it because notes of one object are no notes of another, also not of its
successor under the same name. The purpose keeps the key from vouching for anything else.

The id of the key is in the clear: it tells a seal that was forged from one whose key is not at
hand, which is not for the forger to decide (``controller.notes``). It is derived one way from the
key, 32 bits, and proves nothing.

What a seal cannot tell is that the notes are the latest ones: an old status of the same object,
seal and all, fits. An operator that runs knows what it wrote last and takes up what it has seen
since; one that starts afterwards does not.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from agentspec_usage.errors import UsageError

__all__ = ["SEAL_LENGTH", "Seal", "SealKey", "SealKeys", "parted", "seal_fits", "sealed"]

_PURPOSE = b"agentspec-usage writer state, version 1"
_KEY_ID_PURPOSE = b"agentspec-usage writer state, key id"
_SHORTEST_KEY = 32
"""Characters; of random hexadecimal digits that is 128 bits."""

SEAL_LENGTH = 53
"""Characters that a seal adds."""

_SEAL = re.compile(r"\.(?P<key_id>[0-9a-f]{8})\.(?P<mac>[A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class SealKey:
    """A key, with the name by which a seal refers to it."""

    secret: bytes = field(repr=False)
    id: str

    @classmethod
    def of(cls, text: str) -> SealKey:
        """The key that is all of ``text``, white space around it apart. Raises ``UsageError``."""
        secret = text.strip().encode()
        if len(secret) < _SHORTEST_KEY:
            raise UsageError(
                f"a seal key of {len(secret)} characters: expected at least {_SHORTEST_KEY}"
            )
        return cls(secret, hmac.digest(secret, _KEY_ID_PURPOSE, "sha256")[:4].hex())


@dataclass(frozen=True, slots=True)
class SealKeys:
    """``current`` seals; what ``previous`` sealed is believed until it is sealed anew."""

    current: SealKey
    previous: SealKey | None = None

    def named(self, key_id: str) -> SealKey | None:
        """The one that seals under this name, if it is here."""
        for key in (self.current, self.previous):
            if key is not None and key.id == key_id:
                return key
        return None


class Seal(NamedTuple):
    """The seal of some notes, not yet compared."""

    key_id: str
    mac: str


def sealed(notes: str, uid: str, key: SealKey) -> str:
    """``notes`` of the object with this uid, with their seal."""
    return f"{notes}.{key.id}.{_mac(notes, uid, key)}"


def parted(text: str) -> tuple[str, Seal | None]:
    """The notes in ``text``, and their seal; None when there is none of the known form."""
    match = _SEAL.fullmatch(text[-SEAL_LENGTH:])
    if match is None:
        return text, None
    return text[:-SEAL_LENGTH], Seal(match["key_id"], match["mac"])


def seal_fits(notes: str, uid: str, seal: Seal, key: SealKey) -> bool:
    """Whether ``key`` sealed exactly these notes for the object with this uid."""
    return hmac.compare_digest(_mac(notes, uid, key), seal.mac)


def _mac(notes: str, uid: str, key: SealKey) -> str:
    # Neither the purpose nor a uid, which the API server draws, contains a zero byte: the three
    # parts can be told apart. Notes that are yet to be compared may be any text.
    message = b"\0".join((_PURPOSE, uid.encode(), notes.encode("utf-8", "surrogatepass")))
    digest = hmac.digest(key.secret, message, "sha256")
    return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")
