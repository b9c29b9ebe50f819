"""Names that strangers chose, made fit for a status, a label and a table.

A name is detail beside numbers, so it is bounded and never a reason to lose a count where counts
are made: an overlong one is cut, with a hash that keeps it apart from others that begin alike, and
a character that cannot be shown (a control character, a text direction override, half a surrogate
pair) becomes a question mark.
"""

from __future__ import annotations

import hashlib

__all__ = ["MAX_NAME_BYTES", "bounded_name", "is_showable", "showable_name"]

MAX_NAME_BYTES = 128
"""Of UTF-8, not characters: a status has a size in bytes."""

_HASH_DIGITS = 16


def is_showable(name: str) -> bool:
    """Whether every character prints as itself on one line."""
    return name.isprintable()


def showable_name(name: str) -> str:
    """``name`` with question marks for what does not print, in at most ``MAX_NAME_BYTES``."""
    if not name.isprintable():
        name = "".join(character if character.isprintable() else "?" for character in name)
    return bounded_name(name)


def bounded_name(name: str) -> str:
    """``name`` in at most ``MAX_NAME_BYTES``; an overlong one is cut and ends in ``~`` and a hash.

    Takes what ``is_showable`` accepts.
    """
    encoded = name.encode()
    if len(encoded) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.blake2b(encoded, digest_size=_HASH_DIGITS // 2).hexdigest()
    head = encoded[: MAX_NAME_BYTES - _HASH_DIGITS - 1].decode(errors="ignore")
    return f"{head}~{digest}"
