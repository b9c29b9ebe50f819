"""A series: everything that changes the price of a call as a whole.

Two calls whose keys are equal are priced by the same unit prices, so their counts may be added;
cache time to live and modality split one call's tokens and are components of the count vector
instead. ``context_class`` is there because price tiers go by one call's size: two calls of 200,000
input tokens can cost half of what their sum would, so a sum must never cross a tier.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

__all__ = ["CONTEXT_THRESHOLDS", "MAX_SERIES", "OTHER", "OTHER_MODEL", "SeriesKey", "context_class"]

CONTEXT_THRESHOLDS = (32000, 100000, 128000, 199999, 200000, 256000, 272000, 512000, 524288)
"""Every input size at which a published price changes; a constant, so that a class never changes
meaning."""

MAX_SERIES = 256
"""Series an instance keeps apart; a call beyond it counts in ``OTHER``, decided at its key's first
use."""

OTHER_MODEL = "__other__"


def context_class(input_tokens: int) -> int:
    """The highest threshold that ``input_tokens`` exceeds, or 0; 200,000 exceeds 199,999."""
    position = bisect_left(CONTEXT_THRESHOLDS, input_tokens)
    return CONTEXT_THRESHOLDS[position - 1] if position else 0


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """The price context of calls. ``model`` is the response model; "" is an unknown provider."""

    provider: str = ""
    model: str = ""
    operation: str = "chat"
    service_tier: str = ""
    region: str = ""
    batch: bool = False
    context_class: int = 0


OTHER = SeriesKey(model=OTHER_MODEL)
"""Where calls of series beyond the bound are counted."""
