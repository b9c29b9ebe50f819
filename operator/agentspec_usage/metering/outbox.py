"""The outbox: how one instance's calls become durable somewhere else, each exactly once.

The sender's half of the frames (``frame``): the receiver's is ``receiving``. Its law is that a call
leaves this process only when somebody else answers that it is durable there, and that what was sent
once is never said differently:

* one frame is in flight; it is sealed when it is first sent, and repeated byte for byte until the
  answer comes; only what was never sent may be merged (``buffer``);
* only an answer to a frame releases anything. What heartbeats tell may make the sender repeat
  itself, never forget;
* a receiver that stands earlier than it once answered has gone back in time (a backup). What is
  still held is sealed again from there; what is held no more goes as a *lost* frame, which says
  the totals, so that the difference is known and flagged instead of skipped;
* an answer that names calls that never were is another instance's, or nonsense, and changes
  nothing.

Sans-IO and without a clock: a shell asks ``to_send``, sends, and hands in what was answered, in any
order and as often as it likes. Not thread-safe.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.buffer import BufferLimits, UnsentBuffer
from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.frame import Aggregate, EncodeFrame, Frame, Item, SealedFrame
from agentspec_usage.metering.outbox_state import OutboxState
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.snapshot import Observer

__all__ = ["Outbox", "Spooled", "outbox_of_spool", "outbox_of_state"]


@dataclass(frozen=True, slots=True)
class Spooled:
    """What an ended instance still has to say: consecutive frames, the first perhaps sent before.

    ``totals_since`` are the instance's totals where the first begins. A frame's items may be left
    out: its bytes have them.
    """

    instance_id: str
    observer: Observer
    totals_since: TokenCounts
    frames: tuple[SealedFrame, ...]


class Outbox:
    """Of one instance. ``encode`` is how a frame becomes bytes."""

    def __init__(
        self,
        instance_id: str,
        observer: Observer,
        encode: EncodeFrame,
        limits: BufferLimits | None = None,
    ) -> None:
        self._observer = observer
        self._encode = encode
        self._limits = limits
        self.reset_after_fork(instance_id)

    def reset_after_fork(self, instance_id: str) -> None:
        """Begin anew in a forked child: another instance; what the parent holds, it will send."""
        self._instance_id = instance_id
        self._buffer = UnsentBuffer(self._limits)
        self._sealed: deque[SealedFrame] = deque()
        self._repair: SealedFrame | None = None
        self._durable = 0
        self._durable_totals = ZERO
        self._finishing = False
        self._final_is_durable = False
        self._rolled_back = False

    @property
    def instance_id(self) -> str:
        return self._instance_id

    @property
    def durable(self) -> int:
        """The seq up to which every call is durable at the receiver, by its own word."""
        return self._durable

    @property
    def last(self) -> int:
        """The seq of the newest call."""
        sealed = self._sealed[-1].frame.last if self._sealed else 0
        return max(self._buffer.last, sealed, self._durable)

    @property
    def backlog(self) -> int:
        """Calls that are not durable yet."""
        return self.last - self._durable

    @property
    def items(self) -> int:
        """Records and aggregates that wait to be sent for the first time."""
        return self._buffer.items

    @property
    def merged(self) -> int:
        """Calls that lost their detail because too many waited."""
        return self._buffer.merged

    @property
    def rolled_back(self) -> bool:
        """Whether the receiver was seen to have forgotten what it had acknowledged."""
        return self._rolled_back

    @property
    def settled(self) -> bool:
        """Whether nothing is left to send: all durable, and the end said if it came."""
        if self._repair is not None or self._sealed or len(self._buffer):
            return False
        return self._final_is_durable or not self._finishing

    def append(self, record: UsageRecord) -> None:
        """Take the instance's next call. ``UsageError`` after ``finish``, or out of turn."""
        if self._finishing:
            raise UsageError(f"record with seq {record.seq}: expected none after the end")
        self._buffer.append(record)

    def finish(self) -> None:
        """No call follows: the last frame says so."""
        self._finishing = True

    def to_send(self) -> SealedFrame | None:
        """The frame to send now, the same until it is acknowledged; None when all is durable."""
        if self._repair is not None:
            return self._repair
        if not self._sealed:
            self._seal_next()
        return self._sealed[0] if self._sealed else None

    def acknowledged(self, sent: SealedFrame, durable: int) -> bool:
        """The answer to ``sent``: the receiver has every call up to ``durable``, durably.

        Whether the answer was news.
        """
        if durable > self.last:
            return False
        news = False
        if self._repair is not None and sent.body == self._repair.body:
            self._repair = None
            news = True
        while self._sealed and self._is_answered(self._sealed[0], sent, durable):
            frame = self._sealed.popleft().frame
            self._durable, self._durable_totals = frame.last, frame.totals
            self._final_is_durable = self._final_is_durable or frame.final
            self._repair = None
            news = True
        return news

    def stands_at(self, have: int) -> bool:
        """The receiver says, in a gap or beside a heartbeat, that it stands at ``have``.

        It releases nothing: only an acknowledgement does. Whether there is something to repair.
        """
        self._repair = self._repair_from(have)
        return self._repair is not None

    def _repair_from(self, have: int) -> SealedFrame | None:
        """What brings a receiver that stands at ``have`` to where it was thought to stand."""
        if have < self._durable:
            self._rolled_back = True
            final = self._final_is_durable and not self._sealed
            return self._seal(have, self._durable, self._durable_totals, final=final, lost=True)
        if not self._sealed or not self._durable < have < self._sealed[0].frame.last:
            return None
        frame = self._sealed[0].frame
        rest = tuple(item for item in frame.items if _last_of(item) > have)
        # A frame that was spooled is known by its bytes, not by its items: nothing of it is held.
        held = bool(rest) and all(_first_of(item) > have for item in rest)
        return self._seal(
            have,
            frame.last,
            frame.totals,
            rest if held else (),
            final=frame.final,
            lost=not held,
        )

    def spool(self) -> Spooled:
        """Seal all that is not durable, and the end: what a file must keep of this instance."""
        self._finishing = True
        while len(self._buffer) or not self._ends():
            self._seal_next()
        return Spooled(self._instance_id, self._observer, self._durable_totals, tuple(self._sealed))

    def refill(self, spooled: Spooled) -> None:
        """Go on where an outbox of this instance stopped; see ``outbox_of_spool``."""
        at = spooled.frames[0].frame.since if spooled.frames else self._durable
        self._durable, self._durable_totals = at, spooled.totals_since
        for sealed in spooled.frames:
            if sealed.frame.since != at:
                raise UsageError(f"spooled frame since {sealed.frame.since}: expected {at}")
            at = sealed.frame.last
        self._sealed.extend(spooled.frames)
        self._finishing = True
        self._final_is_durable = not any(one.frame.final for one in spooled.frames)

    def state(self) -> OutboxState:
        """Everything that is not durable elsewhere, for ``outbox_of_state``."""
        return OutboxState(
            self._instance_id,
            self._observer,
            self._durable,
            self._durable_totals,
            tuple(self._sealed),
            self._buffer.state(),
            self._finishing,
            self._final_is_durable,
            self._rolled_back,
        )

    def resume(self, state: OutboxState) -> None:
        """Go on where an outbox of this instance stood, to the byte; see ``outbox_of_state``."""
        self._durable, self._durable_totals = state.durable, state.durable_totals
        self._sealed = deque(state.sealed)
        self._buffer = UnsentBuffer(self._limits, state.buffer)
        self._finishing = state.finishing
        self._final_is_durable = state.final_is_durable
        self._rolled_back = state.rolled_back

    def was_sealed(self, sealed: SealedFrame) -> None:
        """This frame was sealed in an earlier life: it may have been sent, and is sent again.

        One that repaired what a receiver had lost is of no further use: the receiver says again
        where it stands.
        """
        frame = sealed.frame
        after = self._sealed[-1].frame.last if self._sealed else self._durable
        if frame.since != after or frame.lost:
            return
        self._buffer.skip_to(frame.last, frame.totals)
        self._sealed.append(sealed)
        self._finishing = self._finishing or frame.final

    def was_acknowledged(self, durable: int, *, final: bool) -> None:
        """In an earlier life the receiver answered that it has the calls up to ``durable``."""
        while self._sealed and self._sealed[0].frame.last <= durable:
            if self._sealed[0].frame.final and not final:
                return
            frame = self._sealed.popleft().frame
            self._durable, self._durable_totals = frame.last, frame.totals
        self._final_is_durable = final

    @property
    def final_is_durable(self) -> bool:
        """Whether the receiver answered that it has the end."""
        return self._final_is_durable

    def _ends(self) -> bool:
        return self._final_is_durable or any(sealed.frame.final for sealed in self._sealed)

    def _is_answered(self, first: SealedFrame, sent: SealedFrame, durable: int) -> bool:
        if first.frame.since == first.frame.last:
            # It covers no call: a watermark says nothing of it, only its own answer does.
            return sent.body == first.body and durable >= first.frame.last
        return durable >= first.frame.last

    def _seal_next(self) -> None:
        """Seal the oldest calls that wait; when none do, the end if it is to be said."""
        stretch = self._buffer.take()
        if stretch is not None:
            final = self._finishing and not len(self._buffer)
            self._sealed.append(
                self._seal(stretch.since, stretch.last, stretch.totals, stretch.items, final=final)
            )
        elif self._finishing and not self._ends():
            last = self._sealed[-1].frame if self._sealed else None
            seq, totals = (
                (last.last, last.totals)
                if last is not None
                else (self._durable, self._durable_totals)
            )
            self._sealed.append(self._seal(seq, seq, totals, final=True))

    def _seal(
        self,
        since: int,
        last: int,
        totals: TokenCounts,
        items: tuple[Item, ...] = (),
        *,
        final: bool = False,
        lost: bool = False,
    ) -> SealedFrame:
        frame = Frame(
            self._instance_id, self._observer, since, last, totals, items, final=final, lost=lost
        )
        return SealedFrame(frame, self._encode(frame))


def outbox_of_spool(spooled: Spooled, encode: EncodeFrame) -> Outbox:
    """The outbox that goes on sending what an ended instance spooled."""
    outbox = Outbox(spooled.instance_id, spooled.observer, encode)
    outbox.refill(spooled)
    return outbox


def outbox_of_state(
    state: OutboxState, encode: EncodeFrame, limits: BufferLimits | None = None
) -> Outbox:
    """The outbox that goes on where one of an earlier life stood."""
    outbox = Outbox(state.instance_id, state.observer, encode, limits)
    outbox.resume(state)
    return outbox


def _first_of(item: Item) -> int:
    return item.from_seq if isinstance(item, Aggregate) else item.seq


def _last_of(item: Item) -> int:
    return item.to_seq if isinstance(item, Aggregate) else item.seq
