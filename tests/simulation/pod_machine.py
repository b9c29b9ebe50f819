"""A sidecar and SDKs that tell of the same calls: the pod's ledger beside the truth.

The truth is a list of calls, each seen by the proxy, by an SDK, by both, with the ids that each of
them happened to read. The sidecar's shell is simulated by its law: an event is in the file before
anything that came of it is shown or answered, and a restart reads the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentspec_usage.metering.counts import ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.frame import SealedFrame
from agentspec_usage.metering.outbox import Outbox
from agentspec_usage.metering.pod_calls import Now
from agentspec_usage.metering.pod_ledger import (
    CallDropped,
    CallEnded,
    CallOpened,
    FrameCame,
    InstanceBegan,
    InstanceEnded,
    PodEvent,
    PodLedger,
    TimePassed,
    TotalsSeen,
)
from agentspec_usage.metering.receiving import Apply, Gap
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, UsageSnapshot
from agentspec_usage.wire.records import decode_frame
from agentspec_usage.wire.records_encoding import encode_frame, frame_digest
from tests.simulation.delivery_world import LIMITS
from tests.simulation.laws import hold
from tests.unit.metering.readings import numbered_id

__all__ = ["PodMachine"]

KEY = SeriesKey("openai", "gpt")
MINUTE = 60_000
FATES = st.sampled_from(["arrives", "arrives", "lost", "unheard"])


@dataclass
class Call:
    """One call as it truly is. ``proxied`` and ``told`` are what each observer read, if it did."""

    number: int
    proxied: UsageRecord | None
    told: UsageRecord | None
    open: bool = True
    arrived: bool = False
    """Whether the pod's ledger was told; of a proxied call it knows when it ends."""

    @property
    def used(self) -> TokenCounts:
        """What anybody read of it."""
        return _best(self.proxied, self.told)

    @property
    def known(self) -> TokenCounts:
        """What of it has reached the pod's ledger."""
        return _best(None if self.open else self.proxied, self.told if self.arrived else None)


def _best(*readings: UsageRecord | None) -> TokenCounts:
    """Complete counts if there are any, else the most that was read."""
    read = [reading for reading in readings if reading is not None]
    whole = [one for one in read if one.status is CallStatus.OK]
    return replace(_joined(whole or read), unmetered_calls=0)


def _joined(records: list[UsageRecord]) -> TokenCounts:
    joined = ZERO
    for record in records:
        joined = joined.join(record.counts)
    return joined


class PodMachine(RuleBasedStateMachine):
    """One pod with a sidecar, and two processes of an SDK that send frames, or none."""

    @initialize(frames=st.sampled_from([True, True, False]))
    def begin(self, frames: bool) -> None:
        self.frames = frames
        self.calls: list[Call] = []
        self.now = Now(0, 1_700_000_000_000)
        self.file: list[tuple[PodEvent, Now]] = []
        self.ledger = PodLedger()
        self.entered: list[UsageRecord] = []
        self.refused: list[str] = []
        self.ended = ZERO
        self.outboxes = [
            Outbox(numbered_id(i), Observer.SDK, encode_frame, replace(LIMITS, records=100))
            for i in (1, 2)
        ]
        self.sent: list[tuple[Outbox, SealedFrame]] = []
        self.doubtful = False
        self.kinds: set[str] = set()
        self.totals, self.upper = ZERO, 0

    def apply(self, event: PodEvent) -> None:
        """Into the file first."""
        self.file.append((event, self.now))
        self.entered += self.ledger.handle(event, self.now)

    def later(self, milliseconds: int) -> None:
        self.now = Now(self.now.steady + milliseconds, self.now.wall + milliseconds)

    # Calls.

    @rule(
        observers=st.sampled_from(["both", "both", "both", "proxy", "sdk"]),
        ids=st.sampled_from(["call", "response", "both", "both", "none"]),
        proxy=st.sampled_from([CallStatus.OK, *CallStatus]),
        sdk=st.sampled_from([CallStatus.OK, CallStatus.OK, CallStatus.ABORTED]),
        tokens=st.integers(1, 50),
        which=st.integers(0, 1),
        stays_open=st.booleans(),
    )
    def call(
        self,
        observers: str,
        ids: str,
        proxy: CallStatus,
        sdk: CallStatus,
        tokens: int,
        which: int,
        stays_open: bool,
    ) -> None:
        number = len(self.calls)
        call_id = f"call-{number}" if ids in ("call", "both") else ""
        response_id = f"response-{number}" if ids in ("response", "both") else ""
        self.later(5)

        def read(status: CallStatus) -> UsageRecord:
            got = {CallStatus.OK: tokens, CallStatus.ABORTED: tokens // 2}.get(status, 0)
            unmetered = int(status is CallStatus.UNMETERED)
            return UsageRecord(
                seq=0,
                at=self.now.wall,
                key=KEY,
                counts=TokenCounts(input=got, calls=1, unmetered_calls=unmetered),
                status=status,
                call_id=call_id,
                response_id="" if status is CallStatus.UNMETERED else response_id,
                raw=str(number),
            )

        call = Call(
            number,
            read(proxy) if observers != "sdk" else None,
            read(sdk) if observers != "proxy" else None,
        )
        self.calls.append(call)
        guessed = proxy is not CallStatus.OK and not call_id
        self.kinds.add(ids)
        # Two calls of which one has a call id alone and the other a response id alone may be one.
        unlike = "none" in self.kinds or {"call", "response"} <= self.kinds
        self.doubtful = self.doubtful or guessed or unlike
        if call.proxied is not None:
            self.apply(CallOpened(f"key-{number}", call_id if call.told is not None else ""))
            if not stays_open:
                self.end(number)
        if call.told is not None:
            self.tell(call, self.outboxes[which])

    def end(self, number: int) -> None:
        call = self.calls[number]
        if call.open and call.proxied is not None:
            call.open = False
            self.apply(CallEnded(f"key-{number}", call.proxied))

    @precondition(lambda self: self.calls)
    @rule(number=st.integers(0, 9))
    def end_late(self, number: int) -> None:
        self.end(len(self.calls) - 1 - number % len(self.calls))

    @rule(call_id=st.sampled_from(["", "refused"]))
    def call_is_refused(self, call_id: str) -> None:
        """A call that will turn out to have used nothing."""
        key = f"refused-{len(self.file)}"
        self.refused.append(key)
        self.apply(CallOpened(key, call_id))

    @precondition(lambda self: self.refused)
    @rule()
    def refusal_is_heard(self) -> None:
        self.apply(CallDropped(self.refused.pop()))

    # What the SDKs tell.

    def tell(self, call: Call, outbox: Outbox) -> None:
        assert call.told is not None
        outbox.append(replace(call.told, seq=outbox.last + 1))

    @precondition(lambda self: self.frames)
    @rule(fates=st.tuples(FATES, FATES))
    def send(self, fates: tuple[str, str]) -> None:
        for outbox, fate in zip(self.outboxes, fates, strict=True):
            sealed = outbox.to_send()
            if sealed is None or fate == "lost":
                continue
            self.sent.append((outbox, sealed))
            self.arrive(outbox, sealed, heard=fate == "arrives")

    @precondition(lambda self: self.sent)
    @rule(number=st.integers(0, 9))
    def arrive_again(self, number: int) -> None:
        outbox, sealed = self.sent[-1 - number % len(self.sent)]
        self.arrive(outbox, sealed, heard=False)

    def arrive(self, outbox: Outbox, sealed: SealedFrame, *, heard: bool) -> None:
        frame = decode_frame(sealed.body)
        verdict = self.ledger.verdict(frame, frame_digest(frame))
        self.apply(FrameCame(frame, frame_digest(frame)))
        if isinstance(verdict, Apply):
            for item in frame.items:
                assert isinstance(item, UsageRecord)
                self.calls[int(item.raw)].arrived = True
        if heard and isinstance(verdict, Gap):
            outbox.stands_at(verdict.have)
        elif heard:
            outbox.acknowledged(sealed, self.ledger.sender(frame.instance_id).seq)

    @precondition(lambda self: not self.frames)
    @rule(which=st.integers(0, 1))
    def show_totals(self, which: int) -> None:
        """An agent that sends no frames shows its own cumulative totals."""
        told = [call for call in self.calls if call.told is not None and call.number % 2 == which]
        for call in told:
            call.arrived = True
        snapshot = UsageSnapshot(
            sum_counts(call.told.counts for call in told if call.told is not None),
            instance_id=numbered_id(10 + which),
            observer=Observer.SDK,
        )
        self.apply(TotalsSeen(snapshot))

    # Time, and the sidecar's life.

    @rule(minutes=st.sampled_from([0, 1, 10, 16, 45]))
    def time_passes(self, minutes: int) -> None:
        self.doubtful = self.doubtful or minutes > 1
        self.later(minutes * MINUTE)
        self.apply(TimePassed())

    @rule(seconds=st.sampled_from([-3600, -2, 2, 3600]))
    def clock_steps(self, seconds: int) -> None:
        self.doubtful = True
        self.now = Now(self.now.steady, self.now.wall + seconds * 1000)

    @rule(whence=st.sampled_from(["events", "state"]))
    def sidecar_restarts(self, whence: str) -> None:
        """What is in the file is all there is, events or a state in place of them; calls that were
        open have no end of their own.
        """
        replayed = PodLedger()
        for event, now in self.file:
            replayed.handle(event, now)
        resumed = PodLedger(self.ledger.state())
        hold("I2", replayed.state() == resumed.state(), "a state is not what its events were")
        self.ledger = replayed if whence == "events" else resumed
        self.end_open_calls()

    def end_open_calls(self) -> None:
        while self.refused:
            self.refusal_is_heard()
        for key in self.ledger.open_calls:
            call = self.calls[int(key.removeprefix("key-"))]
            call.open, self.doubtful = False, True
            assert call.proxied is not None
            call.proxied = replace(
                call.proxied,
                counts=TokenCounts(calls=1, unmetered_calls=1),
                status=CallStatus.UNMETERED,
                response_id="",
            )
            self.apply(CallEnded(key, call.proxied))

    @rule()
    def another_instance_begins(self) -> None:
        """The end was said, or the file is not to be trusted: what was counted stays counted."""
        self.end_open_calls()
        self.apply(InstanceEnded())
        self.holds()
        self.apply(InstanceBegan())
        self.ended, self.entered, self.doubtful = self.totals, [], True

    # What must hold.

    @invariant()
    def holds(self) -> None:
        """Instances add: what ended ones showed last, and what this one shows."""
        shown = self.ledger.totals
        totals = self.ended + shown
        upper = self.ledger.upper_tokens
        bound = self.ended.total + (shown.total if upper is None else upper)
        truth = sum_counts(call.used for call in self.calls)
        known = sum_counts(call.known for call in self.calls)
        metered = replace(totals, unmetered_calls=0)
        hold("I9", truth.covers(metered), f"totals {totals} of {truth}")
        hold("I9", known.total <= bound, f"upper bound {bound} of {known.total}")
        hold("I9", totals.covers(self.totals), f"totals fell from {self.totals} to {totals}")
        hold("I9", bound >= self.upper, f"upper bound fell from {self.upper} to {bound}")
        self.totals, self.upper = totals, bound
        entered = sum_counts(record.counts for record in self.entered)
        hold("I2", shown.covers(entered), f"billed {entered}, shown {shown}")
        hold("I2", not self.frames or shown == entered, f"billed {entered}, shown {shown}")
        seqs = [record.seq for record in self.entered]
        hold("I2", seqs == list(range(1, len(seqs) + 1)), f"numbered {seqs}")
        numbers = [record.raw for record in self.entered]
        hold("I1", len(set(numbers)) == len(numbers), f"calls entered twice: {numbers}")

    def teardown(self) -> None:
        if not hasattr(self, "calls"):
            return
        while self.refused:
            self.refusal_is_heard()
        for call in self.calls:
            self.end(call.number)
        for outbox in self.outboxes if self.frames else ():
            while (sealed := outbox.to_send()) is not None:
                self.arrive(outbox, sealed, heard=True)
        self.later(40 * MINUTE)
        self.apply(TimePassed())
        self.holds()
        if self.frames and not self.doubtful:
            truth = sum_counts(call.used for call in self.calls)
            totals = self.ledger.totals
            hold("I4", totals.total == truth.total, f"{totals} of {truth}, all with ids")
