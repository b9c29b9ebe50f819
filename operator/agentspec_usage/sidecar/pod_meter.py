"""The pod's ledger as the proxy knows it: exchanges become calls that begin, end, or never were.

A call is in the ledger's file before its request is forwarded, so that a killed sidecar leaves at
least the fact that there was one. What ends it:

* usage that was read: one call for each usage object, the first under the exchange's own key;
* no usage where there should be some: an unmetered call;
* nothing that used anything (refused by the provider, never sent, a list of models): dropped;
* a response that is worked on in the background: the call stays open until somebody retrieves its
  usage, and counts as unmetered when nobody did for a day.

A usage that a provider shows again to whoever retrieves the response counts the first time.

Budget and observers hear of an exchange after the ledger did.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentspec_usage.extraction.values import ReadCall
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.pod_calls import Now
from agentspec_usage.metering.pod_ledger import CallDropped, CallEnded
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sidecar.calls import (
    Budget,
    EndedBy,
    ExchangeObserver,
    ProxiedEnd,
    ProxiedRequest,
    Refusal,
)
from agentspec_usage.sidecar.ledger.entries import CallPending, EndedOnce, Happened, Opened
from agentspec_usage.sidecar.ledger.keeper import LedgerKeeper
from agentspec_usage.sidecar.unmetered import is_unmetered

__all__ = ["PodMeter"]


class PodMeter:
    """The ``CallMeter`` of the pod's one ledger."""

    def __init__(
        self,
        keeper: LedgerKeeper,
        budget: Budget | None = None,
        observers: Sequence[ExchangeObserver] = (),
    ) -> None:
        self._keeper = keeper
        self._budget = budget
        self._observers = observers
        self._read_so_far: dict[str, int] = {}

    def begin(self, request: ProxiedRequest) -> Refusal | None:
        refusal = None if self._budget is None else self._budget.admit(request)
        if refusal is None and _makes_a_call(request):
            self._keeper.write(
                Opened(request.key, request.call_id, _series(request), self._keeper.now())
            )
        for observer in self._observers:
            observer.began(request)
        return refusal

    def read(self, request: ProxiedRequest, calls: Sequence[ReadCall]) -> None:
        now = self._keeper.now()
        for call in calls:
            number = self._read_so_far.get(request.key, 0) + 1
            self._read_so_far[request.key] = number
            self._count(f"{request.key}/{number}", call, _record(call, now), now)
        if self._budget is not None:
            self._budget.spend(request, calls)
        for observer in self._observers:
            observer.read(request, calls)

    def end(self, request: ProxiedRequest, end: ProxiedEnd) -> None:
        refused = end.ended_by is EndedBy.REFUSED
        counted = () if refused or request.facts is None else self._end_calls(request, end)
        if self._budget is not None and not refused:
            self._budget.settle(request, end, counted)
        for observer in self._observers:
            observer.ended(request, end, counted)

    def _end_calls(self, request: ProxiedRequest, end: ProxiedEnd) -> Sequence[ReadCall]:
        """Enter the calls of an exchange that is over; which of them counted."""
        now = self._keeper.now()
        number = self._read_so_far.pop(request.key, 0)
        retrieval = not _makes_a_call(request)
        read = end.extraction.calls if end.extraction is not None else ()
        counted = [call for call in read if not (retrieval and self._was_counted(call))]
        # An exchange of a long connection is many calls; its own key is only for its last one.
        key_is_free = not retrieval
        for call in counted:
            if key_is_free:
                key, key_is_free = request.key, False
                record = _record(call, now, request, end)
            else:
                number += 1
                key = self._pending_key(call) or f"{request.key}/{number}"
                record = _record(call, now)
            self._count(key, call, record, now)
        if is_unmetered(request, end):
            key = request.key if key_is_free else f"{request.key}/{number + 1}"
            key_is_free = False
            self._keeper.write(Happened(CallEnded(key, self._unmetered(request, end, now)), now))
        if key_is_free:
            self._leave_open_or_drop(request, end, now)
        return counted

    def _count(self, key: str, call: ReadCall, record: UsageRecord, now: Now) -> None:
        if call.retrievable and call.response_id:
            self._keeper.write(EndedOnce(key, record, now))
        else:
            self._keeper.write(Happened(CallEnded(key, record), now))

    def _was_counted(self, call: ReadCall) -> bool:
        """Whether a usage that was retrieved is known. Without an id nobody can tell: it is, since
        whoever made the response through this proxy was counted then.
        """
        if not call.response_id:
            return True
        return self._keeper.account.seen.has(call.key.provider, call.response_id)

    def _pending_key(self, call: ReadCall) -> str:
        """The key of the open call that waits for this usage, "" if none does."""
        waiting = self._keeper.account.pending.get((call.key.provider, call.response_id))
        return waiting.key if waiting is not None else ""

    def _leave_open_or_drop(self, request: ProxiedRequest, end: ProxiedEnd, now: Now) -> None:
        pending = end.extraction.pending_id if end.extraction is not None else ""
        if pending and request.facts is not None:
            index = request.facts.provider, pending
            self._keeper.write(CallPending(request.key, index, now))
        else:
            self._keeper.write(Happened(CallDropped(request.key), now))

    def _unmetered(self, request: ProxiedRequest, end: ProxiedEnd, now: Now) -> UsageRecord:
        return UsageRecord(
            seq=0,
            at=now.wall,
            key=_series(request, end.extraction.response_model if end.extraction else ""),
            counts=TokenCounts(calls=1, unmetered_calls=1),
            status=CallStatus.UNMETERED,
            request_model=request.facts.model if request.facts is not None else "",
            call_id=request.call_id,
            duration_ms=end.duration_ms,
            ttft_ms=end.ttft_ms,
        )


def _makes_a_call(request: ProxiedRequest) -> bool:
    return request.facts is not None and not request.facts.route.retrieval


def _series(request: ProxiedRequest, response_model: str = "") -> SeriesKey:
    """What is known of a call's price context before its usage is."""
    facts = request.facts
    if facts is None:
        return SeriesKey()
    model = response_model or facts.model
    return SeriesKey(facts.provider, model, facts.surface.operation, region=facts.route.region)


def _record(
    call: ReadCall, now: Now, request: ProxiedRequest | None = None, end: ProxiedEnd | None = None
) -> UsageRecord:
    """``request`` and ``end`` for a call that is a whole exchange, and has its times and ids."""
    return UsageRecord(
        seq=0,
        at=now.wall,
        key=call.key,
        counts=call.counts,
        status=call.status,
        request_model=call.request_model,
        call_id=request.call_id if request is not None else "",
        response_id=call.response_id,
        requests=call.requests,
        duration_ms=end.duration_ms if end is not None else None,
        ttft_ms=end.ttft_ms if end is not None else None,
        raw=call.raw,
    )
