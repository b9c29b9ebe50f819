"""The receiver's half of the frames: one number per instance decides everything.

A receiver stands somewhere in an instance's calls. The frame that begins there is applied; one that
ends there or earlier has been, and is answered again; any other leaves a gap, and the answer says
from where to go on. No index over records is needed, and dropping old records cannot readmit them.

What makes an answer true is the caller's duty: items and watermark in one transaction, and the
answer after its commit. ``Intake`` holds the answers of a transaction back until then.

A frame that was applied and comes again in other bytes is a conflict: two senders share an
identity, or one changed its mind. The first stays, and the conflict is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.frame import Frame

__all__ = [
    "NOTHING",
    "AlreadyHave",
    "Answers",
    "Apply",
    "FrameMark",
    "Gap",
    "Intake",
    "Verdict",
    "Watermark",
    "accept",
]


@dataclass(frozen=True, slots=True)
class FrameMark:
    """A frame that was applied, as far as it is needed to recognise it. ``digest`` is of what it
    says (``wire.records_encoding.frame_digest``).
    """

    since: int
    last: int
    digest: str


@dataclass(frozen=True, slots=True)
class Watermark:
    """Where the receiver stands: every call up to ``seq`` is stored.

    ``totals`` is the sum of all that was stored, what was lost among it; ``newest`` the frame that
    was applied last: the only one that a sender with one frame in flight can rightly repeat.
    """

    seq: int = 0
    totals: TokenCounts = ZERO
    final: bool = False
    newest: FrameMark | None = None


NOTHING = Watermark()
"""Where a receiver stands that never heard of an instance."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Store the frame's items and, as an item of its own, ``missing``; then stand at ``next``.

    ``missing`` is what the sender's totals say beyond what was stored and what the frame brings:
    what was lost when the receiver went back in time. It is flagged (StoreRolledBack).
    """

    next: Watermark
    missing: TokenCounts = ZERO


@dataclass(frozen=True, slots=True)
class AlreadyHave:
    """Nothing to do: answer the watermark again. ``conflict``: it came in other bytes before."""

    watermark: Watermark
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Calls are missing between ``have`` and the frame: answer from where to go on."""

    have: int


Verdict = Apply | AlreadyHave | Gap


def accept(durable: Watermark, frame: Frame, digest: str) -> Verdict:
    """What becomes of ``frame`` at a receiver that stands at ``durable``."""
    if frame.since == durable.seq and (frame.last > durable.seq or _only_ends(durable, frame)):
        stored = durable.totals + frame.counted
        missing = frame.totals.increase_since(stored)
        mark = FrameMark(frame.since, frame.last, digest)
        return Apply(
            Watermark(frame.last, stored + missing, durable.final or frame.final, mark), missing
        )
    if frame.last <= durable.seq:
        newest = durable.newest
        again = newest is not None and (newest.since, newest.last) == (frame.since, frame.last)
        return AlreadyHave(
            durable, conflict=again and newest is not None and newest.digest != digest
        )
    return Gap(durable.seq)


def _only_ends(durable: Watermark, frame: Frame) -> bool:
    return frame.last == frame.since and frame.final and not durable.final


@dataclass(frozen=True, slots=True)
class Answers:
    """What the receiver answers: watermarks, and where frames left a gap, by instance."""

    durable: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)


class Intake:
    """The frames of one transaction: verdicts at once, answers when it is committed.

    ``watermark_of`` reads, inside the transaction, where the receiver stands. An intake whose
    transaction failed has answered nothing and is thrown away.
    """

    def __init__(self, watermark_of: Callable[[str], Watermark]) -> None:
        self._watermark_of = watermark_of
        self._staged: dict[str, Watermark] = {}
        self._gaps: dict[str, int] = {}

    @property
    def staged(self) -> dict[str, Watermark]:
        """The watermarks to write in the transaction."""
        return dict(self._staged)

    def offer(self, frame: Frame, digest: str) -> Verdict:
        """What to do with ``frame``, after the frames offered before it."""
        durable = self._staged.get(frame.instance_id)
        if durable is None:
            durable = self._watermark_of(frame.instance_id)
        verdict = accept(durable, frame, digest)
        if isinstance(verdict, Gap):
            self._gaps[frame.instance_id] = verdict.have
        else:
            standing = verdict.next if isinstance(verdict, Apply) else verdict.watermark
            self._staged[frame.instance_id] = standing
        return verdict

    def commit(self, transaction: Callable[[], None]) -> Answers:
        """Commit, then answer: an answer that comes before is how acknowledged calls are lost."""
        transaction()
        return Answers({key: mark.seq for key, mark in self._staged.items()}, dict(self._gaps))
