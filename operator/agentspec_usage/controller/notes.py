"""An object's notes, written and read back: packed, sealed, and believed or not.

``status.writerState`` is the operator's memory across restarts, and stands where others may write.
With a key, what is read back is believed when

* a key at hand sealed it for this object: the current one, or the previous one during a rotation;
* or it bears no seal of a key at hand, and the object was last written *before this key came into
  use* (``sealing_since``): by an operator that had no key yet, or another one, which was lost.

Everything else is as good as no notes at all. A seal that names a key at hand and does not fit was
forged, whenever that was. A seal that is missing, or names a key that nobody holds, cannot be made
to look old: the object's resourceVersion is the API server's, and to strip a seal is to write. So
the numbers of a fleet outlive the introduction of a key and its loss, and nobody but who may change
the key can bring either about.

Notes that are believed for their age, or by the previous key, are *outdated*: they are written once
more, sealed, with the next writes that the budget allows.

Without a key nothing is sealed, and whatever is whole and consistent is believed.
"""

from __future__ import annotations

from agentspec_usage.errors import WireError
from agentspec_usage.metering.checkpoint import Checkpoint
from agentspec_usage.wire.writer_state import LIMIT, pack, unpack
from agentspec_usage.wire.writer_state_seal import (
    SEAL_LENGTH,
    SealKeys,
    parted,
    seal_fits,
    sealed,
)

__all__ = ["Notes"]


class Notes:
    """The notes of all objects. ``since``: the resourceVersion at which ``keys`` came into use."""

    def __init__(self, keys: SealKeys | None = None, since: int = 0) -> None:
        self._keys = keys
        self._since = since

    def write(self, checkpoint: Checkpoint, uid: str) -> tuple[Checkpoint, str]:
        """The checkpoint that the notes hold, and the notes for the object with this uid."""
        if self._keys is None:
            return pack(checkpoint)
        kept, text = pack(checkpoint, LIMIT - SEAL_LENGTH)
        return kept, sealed(text, uid, self._keys.current)

    def read(self, text: str, uid: str, resource_version: int) -> Checkpoint | None:
        """What ``text``, found in an object at this version, says; None when it is not believed or
        is damaged.
        """
        if not text or self.doubt(text, uid, resource_version):
            return None
        try:
            return unpack(parted(text)[0])
        except WireError:
            return None

    def doubt(self, text: str, uid: str, resource_version: int) -> str:
        """Why ``text`` is not believed; empty when it is."""
        if self._keys is None:
            return ""
        notes, seal = parted(text)
        key = self._keys.named(seal.key_id) if seal is not None else None
        if seal is not None and key is not None:
            return "" if seal_fits(notes, uid, seal, key) else "its seal does not fit"
        if resource_version <= self._since:
            return ""
        return "it has no seal" if seal is None else f"the key {seal.key_id} is not at hand"

    def outdated(self, text: str) -> bool:
        """Whether ``text``, which was believed, wants the current key's seal."""
        if self._keys is None or not text:
            return False
        _, seal = parted(text)
        return seal is None or seal.key_id != self._keys.current.id
