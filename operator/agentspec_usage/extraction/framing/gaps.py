"""Bytes that could not be read, and why.

Something stood there. If it was a usage, that usage is unknown, which is not zero: whoever counts
must know of the gap, so it is a value in the order of what was read and not an exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Gap", "GapReason"]


class GapReason(StrEnum):
    """Why. After OVERFLOW and DAMAGED, reading goes on; after the others nothing more is read."""

    OVERFLOW = "overflow"
    """One event or value was larger than what is kept of it."""
    DAMAGED = "damaged"
    """One message is not what its checksum says, or not what its format says."""
    MALFORMED = "malformed"
    """Bytes that this format does not allow; where the next event would begin is not known."""
    TRUNCATED = "truncated"
    """The end came within an event."""
    EXPANSION = "expansion"
    """A compressed body became larger than any real one."""
    UNSUPPORTED = "unsupported"
    """A content coding that nobody here decodes."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One place of which nothing is known."""

    reason: GapReason
