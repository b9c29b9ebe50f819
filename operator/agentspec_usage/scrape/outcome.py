"""What came of a scrape, as data: a reading, or a failure with a reason.

A target's health is data. A scrape raises nothing for what an agent or the network does; nothing of
a bad body reaches a status, an event or a log, only the reason and the rule that it broke.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agentspec_usage.metering.snapshot import UsageReading

__all__ = ["Failure", "Outcome", "Read", "ScrapeFailure", "Scraper", "Target"]


class Failure(StrEnum):
    """Why a scrape gave no reading; the first group never reached an agent, the second got a bad
    answer.
    """

    ADDRESS_REFUSED = "AddressRefused"
    CONNECTION_FAILED = "ConnectionFailed"
    TIMEOUT = "Timeout"
    DISCONNECTED = "Disconnected"

    BAD_STATUS = "BadStatus"
    REDIRECTED = "Redirected"
    ENCODED = "Encoded"
    TOO_LARGE = "TooLarge"
    BAD_BODY = "BadBody"

    @property
    def reached(self) -> bool:
        """Whether something answered: then the agent is there, and its answer is what is wrong."""
        return self in _REACHED


_REACHED = frozenset(
    {Failure.BAD_STATUS, Failure.REDIRECTED, Failure.ENCODED, Failure.TOO_LARGE, Failure.BAD_BODY}
)


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint: an IP address literal as Kubernetes reports it, a port, a path."""

    address: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Read:
    """A reading. ``seconds`` from connect to the last byte; ``size`` of the body in bytes."""

    reading: UsageReading
    seconds: float
    size: int


@dataclass(frozen=True, slots=True)
class ScrapeFailure:
    """No reading. ``message`` is a fixed text (a status code at most), safe in a condition."""

    failure: Failure
    message: str
    seconds: float


Outcome = Read | ScrapeFailure


class Scraper(Protocol):
    """Reads one target once. Raises nothing but cancellation."""

    async def scrape(self, target: Target) -> Outcome: ...

    async def close(self) -> None: ...
