"""A frame: a numbered stretch of one instance's calls, as it travels and becomes durable.

Frames are to calls what segments are to bytes in TCP. A frame covers exactly the calls
``(since, last]`` of its instance and says the lifetime totals at ``last``; the receiver takes it
when it stands at ``since``, and needs nothing but that number to tell a repetition or a gap. Its
items are records, or aggregates of records that were never sent before they were merged: merging
what may have arrived already is how tokens are lost or counted twice.

A *lost* frame has no items: the sender no longer has these calls (the receiver forgot what it had
acknowledged), and the difference of the totals is all that is left of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer

__all__ = [
    "BUCKET_MS",
    "MAX_FRAME_ITEMS",
    "Aggregate",
    "EncodeFrame",
    "Frame",
    "Item",
    "SealedFrame",
    "broken_law",
    "bucket_of",
]

BUCKET_MS = 15 * 60 * 1000
"""Every offset of a time zone since 2000 is a multiple of 15 minutes, so a bucket never spans the
end of anybody's day or month."""

MAX_FRAME_ITEMS = 1000
"""Items of one frame."""


def bucket_of(at: int) -> int:
    """The start of the 15-minute UTC bucket that ``at`` (ms) is in."""
    return at - at % BUCKET_MS


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Calls of one series of one bucket (ms), merged before any of them was sent.

    Their seqs lie between ``from_seq`` and ``to_seq``, other aggregates' among them;
    ``counts.calls`` says how many they are. ``coarse`` marks calls of later buckets among them.
    ``status`` is aborted when a call among them was: the counts are a lower bound.
    """

    from_seq: int
    to_seq: int
    bucket: int
    key: SeriesKey
    counts: TokenCounts
    status: CallStatus = CallStatus.OK
    requests: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    coarse: bool = False


Item = UsageRecord | Aggregate


@dataclass(frozen=True, slots=True)
class Frame:
    """The calls ``(since, last]`` of an instance, and its lifetime totals at ``last``.

    ``final`` says that no call follows. A frame without calls is there to say that.
    """

    instance_id: str
    observer: Observer
    since: int
    last: int
    totals: TokenCounts
    items: tuple[Item, ...] = ()
    final: bool = False
    lost: bool = False

    @property
    def counted(self) -> TokenCounts:
        """The sum of the items."""
        return sum_counts(item.counts for item in self.items)


@dataclass(frozen=True, slots=True)
class SealedFrame:
    """A frame and its bytes, which are repeated as they are until the frame is durable."""

    frame: Frame
    body: bytes


EncodeFrame = Callable[[Frame], bytes]
"""How a frame becomes bytes (``wire.records_encoding.encode_frame``)."""


def broken_law(frame: Frame) -> str | None:
    """What keeps ``frame`` from being one, as an expectation; None when nothing does.

    The items must cover the calls ``(since, last]``, each of them once. Which calls an aggregate
    holds is not on the wire, how many is: so seqs lie within bounds, records' are distinct, and
    the numbers add up.
    """
    if frame.last < frame.since:
        return "last not before since"
    if frame.lost:
        return "no items in a lost frame" if frame.items else None
    if len(frame.items) > MAX_FRAME_ITEMS:
        return f"at most {MAX_FRAME_ITEMS} items"
    covered = 0
    seqs: set[int] = set()
    for item in frame.items:
        if isinstance(item, UsageRecord):
            first = last = item.seq
            seqs.add(item.seq)
        else:
            first, last = item.from_seq, item.to_seq
            if not 0 < item.counts.calls <= last - first + 1:
                return "an aggregate of as many calls as its seqs have room for"
        if not frame.since < first <= last <= frame.last:
            return "items with seqs after since and up to last"
        covered += item.counts.calls
    if len(seqs) != sum(isinstance(item, UsageRecord) for item in frame.items):
        return "records with distinct seqs"
    if covered != frame.last - frame.since:
        return "items that cover the calls from since to last, each once"
    if not frame.totals.covers(frame.counted):
        return "items that sum to no more than totals"
    return None
