"""How much of a response is kept and how far it may expand: bounds against hostile peers.

A bound that is met makes a call unmetered, never wrong, so each is far above what providers send.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ExtractionLimits"]


@dataclass(frozen=True, slots=True)
class ExtractionLimits:
    """Bounds of one response, all in bytes but the last."""

    event_bytes: int = 1 << 20
    """What is kept of one event, line, array element or message. One that is larger (an image in a
    server-sent event) is picked from while it passes, or skipped where nothing is wanted of it."""
    value_bytes: int = 64 << 10
    """What is kept of one wanted member of a picked document: a usage object has 2 KiB at most."""
    decoded_bytes: int = 256 << 20
    """To how much a compressed body, or one compressed WebSocket message, may expand. It bounds the
    time that a bomb costs; memory is bounded by decoding in pieces. Twice the largest response that
    was seen (100 MB of embeddings)."""
    codings: int = 4
    """How many content codings may be stacked. Real ones: one, two behind a careless gateway."""
