"""The tail: what was used and is not delivered, and how it is charged without charging it twice.

An instance counts along one path, from nothing upwards. Frames deliver it from the beginning and
leave no gap, so *applied* is a point on that path; the totals that were told in heartbeats, or read
by the operator, are points further on, and the furthest is *reported*. The stretch between them is
the tail::

    0 ────────── applied ────────── charged ────────── reported
       delivered           estimated            tail

When a period closes, or a tail has grown old, its stretch is charged as *estimates*, and *charged*
moves on. Frames that come later begin where applied stands: so whatever they deliver takes back
estimates first, as much as it brings, until none stands. Hence, component by component::

    charged   = applied + estimated             it never falls
    tail      = reported - charged              never below zero
    estimated = estimated - delivered           never below zero, after every frame

From this follow the laws that tests name: all that is charged, and the tail, sum to what was
reported, however frames, heartbeats and observations interleave; a stretch is billed once, however
many periods close over it; an instance that delivers everything has no estimate left.

(Comparing with *reported* instead, ``min(estimated, reported - applied)``, keeps the sums too, but
keeps an estimate standing beside the delivered calls that it stood for, for as long as the instance
goes on: the calls are in the bill and so is their estimate, and the newest usage is in neither.)

Money depends on series, and a period on time. So a level has cells by series, and *marks* keep the
level that was seen until the end of each 15-minute bucket while there is a tail: a stretch between
two marks was used in that bucket, or before it where nobody looked earlier. Reported totals are
exact and the cells below them are detail, so each stretch is cut by the totals first; what no cell
claims belongs to a rest that has no price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from agentspec_usage.metering.counts import ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.level import Key, Level

__all__ = ["Estimate", "Mark", "TailPart", "stretch", "tail_parts", "taken_back"]


@dataclass(frozen=True, slots=True)
class Mark(Generic[Key]):
    """The level that was seen until the end of a 15-minute bucket (its start, ms)."""

    bucket: int
    level: Level[Key]


@dataclass(frozen=True, slots=True)
class TailPart(Generic[Key]):
    """Of the tail, what one series used in one bucket."""

    bucket: int
    key: Key
    counts: TokenCounts


@dataclass(frozen=True, slots=True)
class Estimate(Generic[Key]):
    """What still stands of an estimate. ``item`` is its number in the journal."""

    item: int
    key: Key
    counts: TokenCounts


def stretch(
    earlier: Level[Key], later: Level[Key], charged: Level[Key], rest: Key
) -> dict[Key, TokenCounts]:
    """What was used between two levels and is not charged, by series.

    The parts sum to the growth of the totals beyond ``charged``. Where the cells say more than that
    (calls that were lost are charged without their series), the totals hold.
    """
    left = later.totals.increase_since(earlier.totals.join(charged.totals))
    parts: dict[Key, TokenCounts] = {}
    for key, counts in later.cells.items():
        if not left:
            break
        part = counts.increase_since(earlier.cell(key).join(charged.cell(key))).meet(left)
        if part:
            parts[key] = part
            left = left.increase_since(part)
    if left:
        parts[rest] = parts.get(rest, ZERO) + left
    return parts


def tail_parts(
    marks: Iterable[Mark[Key]], charged: Level[Key], rest: Key
) -> Iterator[TailPart[Key]]:
    """The tail by bucket and series, in the order of time. It sums to the last mark's totals
    beyond ``charged``."""
    seen: Level[Key] = Level()
    for mark in sorted(marks, key=lambda mark: mark.bucket):
        # A mark that was made late, or of an old copy, shows less than what was seen before it.
        level = seen.join(mark.level)
        for key, counts in stretch(seen, level, charged, rest).items():
            yield TailPart(mark.bucket, key, counts)
        seen = level


def taken_back(
    standing: Sequence[Estimate[Key]], delivered: Mapping[Key, TokenCounts], rest: Key
) -> list[Estimate[Key]]:
    """What ``delivered`` takes back of the estimates, oldest first: their part that falls.

    It sums to the lesser of what stands and what was delivered. A series takes back its own
    estimates first, then those of usage whose series was not known, and then any: a call may be
    delivered in another series than the one in which it was seen.
    """
    left = sum_counts(delivered.values())
    own = dict(delivered)
    falls = [ZERO] * len(standing)
    for place, estimate in enumerate(standing):
        part = estimate.counts.meet(own.get(estimate.key, ZERO))
        if part:
            falls[place] = part
            left = left.increase_since(part)
            own[estimate.key] = own[estimate.key].increase_since(part)
    for place in sorted(range(len(standing)), key=lambda place: standing[place].key != rest):
        if not left:
            break
        part = standing[place].counts.increase_since(falls[place]).meet(left)
        falls[place] += part
        left = left.increase_since(part)
    return [
        Estimate(estimate.item, estimate.key, fall)
        for estimate, fall in zip(standing, falls, strict=True)
        if fall
    ]
