"""API keys: ``ask_<id>_<secret>``, shown once; what is kept is the id and the SHA-256 of the whole.

The secret has 256 random bits, so a plain hash cannot be searched, and nothing slow is needed in
the path of every request. The id finds the row; the comparison of the hashes takes the same time
wherever they differ.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

from agentspec_usage.store.values import NewKey, StoredKey

__all__ = ["key_id_of", "matches", "new_agent_id", "new_key"]

_KEY = re.compile(r"ask_([0-9a-f]{32})_[0-9a-f]{64}")

Draw = Callable[[], str]
"""128 random bits as 32 hex digits (``runtime.ids.draw_128_bits``)."""


def new_agent_id(draw: Draw) -> str:
    return f"agt_{draw()}"


def new_key(draw: Draw, expires_at: int) -> tuple[str, NewKey]:
    """A key as its holder gets it, and as it is stored."""
    key_id = draw()
    text = f"ask_{key_id}_{draw()}{draw()}"
    return text, NewKey(key_id, _digest(text), expires_at)


def key_id_of(text: str) -> str | None:
    """The id in a key; None for what is no key."""
    match = _KEY.fullmatch(text)
    return match[1] if match else None


def matches(text: str, stored: StoredKey) -> bool:
    """Whether ``text`` is the key that was stored."""
    return hmac.compare_digest(_digest(text), stored.digest)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
