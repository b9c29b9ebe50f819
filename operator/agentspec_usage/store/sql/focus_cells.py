"""The sums that a file of charges is made of, while they are read: by numbers, not by names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agentspec_usage.metering.counts import COMPONENTS
from agentspec_usage.metering.periods import DAY_MS

__all__ = ["Cell", "Sum", "day_of", "requests_in"]


class Cell(NamedTuple):
    """What is summed up. ``day`` is when it was used (midnight UTC, ms), also of a correction."""

    day: int
    account: int
    series: int
    price: int
    correction: int


@dataclass(slots=True)
class Sum:
    """Signed, as entries are. ``pico`` is all of the money, in 10^-12."""

    counts: list[int] = field(default_factory=lambda: [0] * len(COMPONENTS))
    requests: dict[str, int] = field(default_factory=dict)
    pico: int = 0
    estimated: int = 0

    def add(
        self, counts: Sequence[int], requests: Mapping[str, int], pico: int = 0, estimated: int = 0
    ) -> None:
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]
        for name, quantity in requests.items():
            self.requests[name] = self.requests.get(name, 0) + quantity
        self.pico += pico
        self.estimated += estimated

    def take(self, other: Sum) -> None:
        """Take what ``other`` has out of it."""
        counts = [-count for count in other.counts]
        requests = {name: -quantity for name, quantity in other.requests.items()}
        self.add(counts, requests, -other.pico, -other.estimated)

    def __bool__(self) -> bool:
        return any(self.counts) or any(self.requests.values()) or bool(self.pico)


def day_of(at: int, claimed_at: int | None, correction: int) -> int:
    """The day on which an entry was used: a correction says itself when that was."""
    moment = claimed_at if correction and claimed_at is not None else at
    return moment - moment % DAY_MS


def requests_in(text: str | None) -> dict[str, int]:
    """An entry's units beside tokens."""
    return dict(json.loads(text)) if text else {}
