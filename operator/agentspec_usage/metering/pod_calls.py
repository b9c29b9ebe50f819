"""What a pod's proxy saw lately: the calls that a second observer may tell of.

A call is remembered as long as a report of it may still be under way. What is said of a forgotten
call cannot be recognised any more, so forgetting one that had no match raises a *horizon*: a report
from before it is never taken for a call that nobody else saw.

The horizon is wall time, because reports carry nothing else, and memory lasts by a steady clock,
because wall clocks step. A step raises the horizon as well: for a while no stamp can be trusted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from agentspec_usage.metering.pod_reports import ids_of
from agentspec_usage.metering.record import CallStatus, UsageRecord

__all__ = ["MATCH_MS", "MAX_CALLS", "REMEMBER_MS", "Now", "PodCalls", "ProxiedCall"]

MATCH_MS = 15 * 60 * 1000
"""How long a call waits for a better report, and how late a stamp may be against its call."""

REMEMBER_MS = 2 * MATCH_MS
"""How long an ended call is remembered: what is told of a call sooner is certain of its facts."""

MAX_CALLS = 20_000
"""Calls remembered at once, about 1 kB each."""

_SWEEP_MS = 60 * 1000
_STEP_MS = 1000


class Now(NamedTuple):
    """Both clocks, in ms: ``steady`` only grows; ``wall`` is what records are stamped with."""

    steady: int
    wall: int


@dataclass(frozen=True, slots=True)
class ProxiedCall:
    """A call through the proxy. ``record`` is None while it is open; ``entered`` once it counts."""

    key: str
    call_id: str = ""
    record: UsageRecord | None = None
    ended: Now | None = None
    entered: bool = False
    matched: bool = False

    @property
    def kinds(self) -> tuple[bool, bool]:
        """Whether it has a call id, and whether it has a response id."""
        return bool(self.call_id), self.record is not None and bool(self.record.response_id)

    @property
    def ids(self) -> list[tuple[str, str]]:
        if self.record is not None:
            return ids_of(self.record)
        return [("call", self.call_id)] if self.call_id else []


class PodCalls:
    """The calls of one pod's proxy, by key, in the order of their last change: everything that
    goes by an order goes by this one, so that a list of the calls is their whole state.

    ``pending_tokens`` are those of ended calls that do not count yet.
    """

    def __init__(self, calls: Iterable[ProxiedCall] = ()) -> None:
        self._calls: dict[str, ProxiedCall] = {}
        self._by_id: dict[tuple[str, str], list[str]] = {}
        self._pending: dict[str, ProxiedCall] = {}
        self.pending_tokens = 0
        self._unmatched_kinds: Counter[tuple[bool, bool]] = Counter()
        self.clock: Now | None = None
        self.swept = 0
        self.horizon = -1
        for call in calls:
            self.put(call)

    def __iter__(self) -> Iterator[ProxiedCall]:
        return iter(self._calls.values())

    @property
    def open_keys(self) -> tuple[str, ...]:
        """The calls that have not ended."""
        return tuple(key for key, call in self._calls.items() if call.record is None)

    def advance(self, now: Now) -> Now:
        """Time passes; the moment it is, on a steady clock that never goes back."""
        before = self.clock
        if before is None:
            self.swept = now.steady
        else:
            now = Now(max(now.steady, before.steady), now.wall)
            expected = before.wall + now.steady - before.steady
            if abs(now.wall - expected) > _STEP_MS:
                self._raise_horizon(max(now.wall, expected))
        self.clock = now
        if now.steady - self.swept >= _SWEEP_MS or len(self._calls) > MAX_CALLS:
            self._sweep(now)
        return now

    def open(self, key: str, call_id: str) -> None:
        self.put(ProxiedCall(key, call_id))

    def end(self, key: str, record: UsageRecord, now: Now) -> ProxiedCall:
        """The call with its end. One that was never opened is a new one."""
        known = self._calls.get(key)
        call_id = record.call_id or (known.call_id if known is not None else "")
        call = ProxiedCall(key, call_id, replace(record, call_id=call_id), now)
        self.put(call)
        return call

    def drop(self, key: str) -> None:
        """Forget an open call that used nothing. One that has ended stays as it is."""
        known = self._calls.get(key)
        if known is not None and known.record is None:
            self._unindex(known)
            del self._calls[key]

    def put(self, call: ProxiedCall) -> None:
        """Remember ``call`` as it is now."""
        known = self._calls.pop(call.key, None)
        if known is not None:
            self._unindex(known)
        self._calls[call.key] = call
        if call.record is not None and not call.entered:
            self._pending[call.key] = call
            self.pending_tokens += call.record.counts.total
        if not call.matched:
            self._unmatched_kinds[call.kinds] += 1
        for index in call.ids:
            self._by_id.setdefault(index, []).append(call.key)

    def overdue(self, now: Now) -> list[ProxiedCall]:
        """Ended calls that count as they are now: nobody told better of them in time."""
        crowded = len(self._calls) > MAX_CALLS
        overdue = []
        for call in self._pending.values():
            # In the order in which they ended: the first that can wait ends the search.
            if call.ended is None or not (crowded or now.steady - call.ended.steady >= MATCH_MS):
                break
            overdue.append(call)
        return overdue

    def waiting(self) -> list[ProxiedCall]:
        """Ended calls that do not count yet."""
        return list(self._pending.values())

    def match_of(self, record: UsageRecord) -> ProxiedCall | None:
        """The call that ``record`` tells of too: complete ones first, an open one last."""
        found = [call for call in self._equal(record) if not call.matched]
        return min(found, key=_preference, default=None)

    def is_told(self, record: UsageRecord) -> bool:
        """Whether somebody told already of a call that ``record`` tells of."""
        return any(call.matched for call in self._equal(record))

    def are_alone(self, kinds: tuple[bool, bool]) -> bool:
        """Whether reports with such ids, that equal no call, tell of calls that nobody else saw.

        Every call that could be theirs has an id of a kind that they have too: it would be equal.
        """
        has_call, has_response = kinds
        return not any(
            count
            for (call, response), count in self._unmatched_kinds.items()
            if not ((call and has_call) or (response and has_response))
        )

    def is_within_memory(self, record: UsageRecord) -> bool:
        """Whether no call that could be ``record``'s was forgotten."""
        return record.at > self.horizon

    def _equal(self, record: UsageRecord) -> list[ProxiedCall]:
        return [self._calls[key] for index in ids_of(record) for key in self._by_id.get(index, ())]

    def _sweep(self, now: Now) -> None:
        self.swept = now.steady
        # A tenth at once, so that a crowded ledger does not sweep at every call.
        room = MAX_CALLS if len(self._calls) <= MAX_CALLS else MAX_CALLS * 9 // 10
        for call in list(self._calls.values()):
            ended = call.ended
            old = ended is not None and now.steady - ended.steady > REMEMBER_MS
            if (old and call.entered) or (len(self._calls) > room and not self._waits(call)):
                self._unindex(call)
                del self._calls[call.key]
                if not call.matched:
                    self._raise_horizon(ended.wall if ended is not None else now.wall)

    def _waits(self, call: ProxiedCall) -> bool:
        return call.key in self._pending

    def _raise_horizon(self, wall: int) -> None:
        self.horizon = max(self.horizon, wall + MATCH_MS)

    def _unindex(self, call: ProxiedCall) -> None:
        pending = self._pending.pop(call.key, None)
        if pending is not None and pending.record is not None:
            self.pending_tokens -= pending.record.counts.total
        if not call.matched:
            self._unmatched_kinds[call.kinds] -= 1
        for index in call.ids:
            self._by_id[index].remove(call.key)
            if not self._by_id[index]:
                del self._by_id[index]


def _preference(call: ProxiedCall) -> int:
    if call.record is None:
        return len(_BEST_FIRST)
    return _BEST_FIRST.index(call.record.status)


_BEST_FIRST = (CallStatus.OK, CallStatus.ABORTED, CallStatus.UNMETERED)
