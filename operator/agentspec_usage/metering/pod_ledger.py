"""One ledger per pod: what the proxy saw and what the agents' own counting tells, united.

Both observers tell of the same calls, and neither of all: the proxy misses calls that go around it,
an SDK misses calls of code that it does not wrap. Adding them counts twice; choosing one, for the
pod or for a stretch of time, loses. So calls are united one by one:

    A call enters the ledger once and never changes after.

* A proxied call with complete usage enters at its end.
* An aborted or unmetered one enters at its end too; where an SDK tells of calls (it sent a frame,
  or put its id on the call), only when it is matched, or when nobody told better of it for 15
  minutes.
* What an SDK tells enters when it is matched (one to one; complete counts win over aborted ones,
  the proxy's over the SDK's, the SDK's context is added), or when it is certain to be of a call
  that the proxy never saw.
* Anything else that an SDK tells is listed and adds to the upper bound alone.

So the totals are what is billed, the truth lies between them and the upper bound, and both only
grow. Where a side gives totals and no calls, the pod's totals are the maximum of both and the upper
bound is their sum: equal totals prove nothing (calls A and B against B and C).

The ledger is a pure function of its events. A shell that writes each event to a file before it
shows, sends or acknowledges what came of it can be killed at any moment. Where a file may lack
events that were shown already, or the end was said, the ledger goes on as another *instance*: it
remembers every call, and counts from where the last one stood, so that instances add.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts, sum_counts
from agentspec_usage.metering.frame import Aggregate, Frame
from agentspec_usage.metering.pod_calls import Now, PodCalls, ProxiedCall
from agentspec_usage.metering.pod_reports import Reports
from agentspec_usage.metering.pod_state import NEW_POD, CallsState, PodState
from agentspec_usage.metering.receiving import NOTHING, Apply, Verdict, Watermark, accept
from agentspec_usage.metering.record import NO_CONTEXT, CallStatus, UsageRecord
from agentspec_usage.metering.record_bounds import bounded_record
from agentspec_usage.metering.snapshot import UsageSnapshot

__all__ = [
    "MAX_LISTED",
    "CallDropped",
    "CallEnded",
    "CallOpened",
    "FrameCame",
    "InstanceBegan",
    "InstanceEnded",
    "PodEvent",
    "PodLedger",
    "TimePassed",
    "TotalsSeen",
]

MAX_LISTED = 10_000
"""Reports of an SDK that may still turn out to be of a call that nobody else saw."""

MAX_SENDERS = 4096
"""SDK instances whose frames are known; those that said their end are forgotten first."""


@dataclass(frozen=True, slots=True)
class CallOpened:
    """The proxy forwards a call, ``key`` to this ledger; ``call_id`` is what the SDK sent."""

    key: str
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over; ``record`` is what the proxy read of it, its ``seq`` without meaning."""

    key: str
    record: UsageRecord


@dataclass(frozen=True, slots=True)
class CallDropped:
    """The open call used nothing: it was refused, never sent, or answered from a cache."""

    key: str


@dataclass(frozen=True, slots=True)
class FrameCame:
    """An SDK of the pod sent a frame."""

    frame: Frame
    digest: str


@dataclass(frozen=True, slots=True)
class TotalsSeen:
    """An agent of the pod that sends no frames showed its own cumulative snapshot."""

    snapshot: UsageSnapshot


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Nothing but time."""


@dataclass(frozen=True, slots=True)
class InstanceEnded:
    """This instance counts no more: calls that wait for a better report count as they are."""


@dataclass(frozen=True, slots=True)
class InstanceBegan:
    """What comes from here on belongs to another instance, which begins at nothing."""


PodEvent = (
    CallOpened
    | CallEnded
    | CallDropped
    | FrameCame
    | TotalsSeen
    | TimePassed
    | InstanceEnded
    | InstanceBegan
)


class PodLedger:
    """The state after the events so far. Not thread-safe."""

    def __init__(self, state: PodState = NEW_POD) -> None:
        self._calls = PodCalls(state.calls.calls)
        self._calls.clock = state.calls.clock
        self._calls.swept, self._calls.horizon = state.calls.swept, state.calls.horizon
        self._listed = Reports(state.listed)
        self._entered, self._seq = state.entered, state.seq
        self._before = state.before
        self._entered_before, self._seq_before = state.entered_before, state.seq_before
        self._senders = dict(state.senders)
        self._others = dict(state.others)
        self._unjoined, self._upper = state.unjoined, state.upper
        self._fresh: list[UsageRecord] = []

    def state(self) -> PodState:
        """Everything, at this moment."""
        calls = self._calls
        return PodState(
            CallsState(tuple(calls), calls.clock, calls.swept, calls.horizon),
            tuple(self._listed),
            self._entered,
            self._seq,
            self._before,
            self._entered_before,
            self._seq_before,
            dict(self._senders),
            dict(self._others),
            self._unjoined,
            self._upper,
        )

    @property
    def totals(self) -> TokenCounts:
        """What was used in this instance, for certain."""
        seen = self._entered.join(sum_counts(self._others.values()))
        # Beside totals of another side, calls that enter may have been counted before: what enters
        # is billed in this instance, so it is the least that is shown.
        return seen.increase_since(self._before).join(
            self._entered.increase_since(self._entered_before)
        )

    @property
    def seq(self) -> int:
        """Calls that entered in this instance."""
        return self._seq - self._seq_before

    @property
    def has_senders(self) -> bool:
        """Whether SDKs tell of calls."""
        return bool(self._senders)

    @property
    def has_totals_alone(self) -> bool:
        """Whether no call ever entered, so that all there is are other sources' totals."""
        return not self._seq and not self._before

    @property
    def upper_tokens(self) -> int | None:
        """The most tokens that it can be, where that is more than the totals."""
        upper = self._upper - self._before.total
        return upper if upper > self.totals.total else None

    @property
    def listed(self) -> int:
        """Reports that may still enter."""
        return len(self._listed)

    @property
    def open_calls(self) -> tuple[str, ...]:
        """Calls without an end. After a restart nobody will end them: they are unmetered."""
        return self._calls.open_keys

    def sender(self, instance_id: str) -> Watermark:
        """Up to where an SDK's frames are in this ledger."""
        return self._senders.get(instance_id, NOTHING)

    def handle(self, event: PodEvent, now: Now) -> tuple[UsageRecord, ...]:
        """The records that enter because of ``event``, numbered on."""
        self._fresh = []
        now = self._calls.advance(now)
        match event:
            case CallOpened(key, call_id):
                self._calls.open(key, call_id)
            case CallEnded(key, record):
                self._ended(self._calls.end(key, bounded_record(record), now))
            case FrameCame(frame, digest):
                self._came(frame, digest)
            case TotalsSeen(snapshot):
                self._see_totals(snapshot)
            case CallDropped(key):
                self._calls.drop(key)
            case InstanceBegan():
                self._before += self.totals
                self._entered_before, self._seq_before = self._entered, self._seq
            case TimePassed() | InstanceEnded():
                pass
        ends = isinstance(event, InstanceEnded)
        for call in self._calls.waiting() if ends else self._calls.overdue(now):
            self._enter_call(call)
        self._decide_listed()
        self._raise_upper()
        return tuple(self._fresh)

    def verdict(self, frame: Frame, digest: str) -> Verdict:
        """What becomes of an SDK's frame; to be answered once the event is in the file."""
        return accept(self.sender(frame.instance_id), frame, digest)

    def _ended(self, call: ProxiedCall) -> None:
        record = call.record
        assert record is not None  # it has ended
        report = self._listed.take_equal(record)
        if report is not None:
            self._match(call, report)
        elif record.status is CallStatus.OK or not self._is_told_of(call):
            self._enter_call(call)

    def _is_told_of(self, call: ProxiedCall) -> bool:
        """Whether to expect a report: an SDK sends frames, or put its id on this very call."""
        return bool(self._senders) or bool(call.call_id)

    def _came(self, frame: Frame, digest: str) -> None:
        verdict = self.verdict(frame, digest)
        self._senders.setdefault(frame.instance_id, NOTHING)
        if not isinstance(verdict, Apply):
            return
        self._senders[frame.instance_id] = verdict.next
        self._forget_senders()
        # Lost calls were told to a ledger before this one: they may have been counted there.
        self._unjoined += verdict.missing.total
        for item in frame.items:
            if isinstance(item, Aggregate):
                self._unjoined += item.counts.total
                continue
            self._place(item)

    def _place(self, report: UsageRecord) -> None:
        """To its call, if it is known; else to the list, if its call can still become known."""
        call = self._calls.match_of(report)
        if call is not None and call.record is not None:
            self._match(call, report)
        elif call is None and self._calls.is_told(report):
            self._unjoined += report.counts.total
        else:
            self._listed.add(report)

    def _match(self, call: ProxiedCall, report: UsageRecord) -> None:
        """Both tell of one call."""
        assert call.record is not None  # open calls are not matched
        counted = call.record if call.entered else _united(call.record, report)
        if not call.entered:
            self._enter(counted)
        self._unjoined += max(report.counts.total - counted.counts.total, 0)
        self._calls.put(replace(call, matched=True, entered=True))

    def _enter_call(self, call: ProxiedCall) -> None:
        assert call.record is not None  # it has ended
        self._enter(call.record)
        self._calls.put(replace(call, entered=True))

    def _decide_listed(self) -> None:
        """Reports that are certain by now enter; those that never will be are only summed."""
        for kinds in self._listed.kinds():
            if self._calls.are_alone(kinds):
                for report in list(self._listed.take_all(kinds)):
                    self._decide(report)
        while len(self._listed) > MAX_LISTED:
            self._unjoined += self._listed.take_oldest().counts.total

    def _decide(self, report: UsageRecord) -> None:
        if self._calls.match_of(report) is not None:
            self._listed.add(report)  # its call is still open
        elif self._calls.is_within_memory(report):
            self._enter(report)
        else:
            self._unjoined += report.counts.total

    def _enter(self, record: UsageRecord) -> None:
        self._seq += 1
        self._entered += record.counts
        self._fresh.append(replace(record, seq=self.seq))

    def _see_totals(self, snapshot: UsageSnapshot) -> None:
        if snapshot.instance_id is None or snapshot.via is not None:
            return
        known = self._others.get(snapshot.instance_id)
        if known is not None:
            self._others[snapshot.instance_id] = known.join(snapshot.totals)
        elif len(self._others) < MAX_SENDERS:
            self._others[snapshot.instance_id] = snapshot.totals

    def _raise_upper(self) -> None:
        """Never lowered: a bound that held stays one, and readers rely on it."""
        tokens = self._entered.total + self._calls.pending_tokens + self._unjoined
        tokens += self._listed.tokens
        tokens += sum(other.total for other in self._others.values())
        self._upper = max(self._upper, min(tokens, MAX_COUNT))

    def _forget_senders(self) -> None:
        if len(self._senders) > MAX_SENDERS:
            ended = (key for key, mark in self._senders.items() if mark.final)
            del self._senders[next(ended, next(iter(self._senders)))]


def _united(proxied: UsageRecord, report: UsageRecord) -> UsageRecord:
    """One record of a call that both saw: the better counts, the SDK's context."""
    better = report if _RANK[report.status] > _RANK[proxied.status] else proxied
    return replace(
        proxied,
        key=better.key,
        counts=better.counts,
        status=better.status,
        requests=better.requests,
        call_id=proxied.call_id or report.call_id,
        response_id=proxied.response_id or report.response_id,
        context=report.context if report.context != NO_CONTEXT else proxied.context,
        raw=better.raw,
    )


_RANK = {CallStatus.UNMETERED: 0, CallStatus.ABORTED: 1, CallStatus.OK: 2}
