"""What is known of each pod's endpoint, and what that makes of the whole object.

A failed scrape is a fact about a target. One miss is noise: a pod that was read before counts as
failing only after ``threshold`` misses in a row, so a status does not flap. A pod that was never
read fails at once, unless it is still starting (not Ready), which is no fault before as many
misses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from agentspec_usage.controller.pods import LastWords
from agentspec_usage.metering.checkpoint import Source
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.runtime.ids import stable_fraction
from agentspec_usage.scrape.outcome import Failure

__all__ = ["Health", "PodHealth", "PodState", "retry_delay", "summarize"]

_RETRY_CAP = 300.0
"""Seconds between two scrapes of a dead pod at most: it is looked at again within five minutes."""


@dataclass(slots=True)
class PodHealth:
    """One pod's endpoint over time. Times are monotonic seconds.

    ``read``: it gave usage at least once. ``ran``: it had a source and was seen running, so that it
    may have used tokens. ``heard``: its last words that were counted already.
    """

    name: str
    read: bool = False
    ran: bool = False
    failures: int = 0
    retry_at: float = 0.0
    scraped_at: float = float("-inf")
    failure: Failure | None = None
    message: str = ""
    heard: tuple[LastWords, ...] = ()

    def ask_again(self) -> None:
        """Something changed: what was learned of the endpoint is no reason to wait any more."""
        self.retry_at = 0.0
        self.scraped_at = float("-inf")

    def succeeded(self) -> None:
        self.read = True
        self.failures = 0
        self.retry_at = 0.0
        self.failure = None
        self.message = ""

    def failed(self, failure: Failure, message: str, *, now: float, delay: float) -> None:
        self.failures += 1
        self.retry_at = now + delay
        self.failure = failure
        self.message = message


def retry_delay(failures: int, interval: float, identity: str) -> float:
    """Seconds until a pod that failed ``failures`` times in a row is tried again.

    The regular interval for the first misses, then doubling to the cap. The jitter (a quarter at
    most) is a hash of the identity, so that pods which died together are not tried together.
    """
    base = min(interval * 2 ** max(0, failures - 3), max(_RETRY_CAP, interval))
    return base * (1 - 0.25 * stable_fraction(identity, str(failures))) if failures > 3 else 0.0


@dataclass(frozen=True, slots=True)
class PodState:
    """One selected pod at one tick, reduced to what the status says of it."""

    expected: bool
    health: PodHealth | None
    source: Source | None = None
    starting: bool = False
    overlapped: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """The pods of one object in numbers; two equal values say the same in every condition."""

    expected: int = 0
    observed: int = 0
    starting: int = 0
    unread: int = 0
    no_source: int = 0
    overlapped: int = 0
    unreachable: int = 0
    bad_response: int = 0
    refused: int = 0
    failure: str = ""
    sources: frozenset[Source] = frozenset()

    @property
    def failing(self) -> int:
        return self.unreachable + self.bad_response + self.refused

    def reasons(self) -> frozenset[Reason]:
        """The doubts that the pods' state casts on the totals."""
        found = set()
        if self.failing:
            found.add(Reason.SCRAPE_FAILED)
        if self.no_source or self.unread:
            found.add(Reason.PODS_MISSING)
        if self.overlapped:
            found.add(Reason.OVERLAPPING)
        return frozenset(found)


def summarize(states: list[PodState], *, threshold: int) -> Health:
    """Count ``states``; a pod is in exactly one group. The first failure's message is kept."""
    expected = observed = starting = unread = no_source = overlapped = 0
    unreachable = bad = refused = 0
    failure = ""
    sources = set()
    for state in states:
        if state.source is not None:
            sources.add(state.source)
        if not state.expected:
            continue
        expected += 1
        health = state.health
        if state.overlapped:
            overlapped += 1
        elif state.refused:
            refused += 1
            failure = failure or "The pod uses the host's network, which is not scraped."
        elif state.starting and (
            health is None or (not health.read and health.failures < threshold)
        ):
            starting += 1
        elif state.source is None:
            no_source += 1
        elif health is None or (not health.read and health.failures == 0):
            unread += 1
        elif health.failures == 0 or (health.read and health.failures < threshold):
            observed += 1
        elif health.failure is not None and health.failure.reached:
            bad += 1
            failure = failure or health.message
        else:
            unreachable += 1
            failure = failure or health.message
    return _shared(
        Health(
            expected=expected,
            observed=observed,
            starting=starting,
            unread=unread,
            no_source=no_source,
            overlapped=overlapped,
            unreachable=unreachable,
            bad_response=bad,
            refused=refused,
            failure=failure,
            sources=frozenset(sources),
        )
    )


@lru_cache(maxsize=1024)
def _shared(health: Health) -> Health:
    """The first of all that are equal: most of a fleet is in the same health, kept once for all."""
    return health
