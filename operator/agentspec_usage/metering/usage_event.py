"""A usage event: what a sender that fires and forgets says about one model call.

Such a sender (a gateway, a workflow runner) numbers nothing and repeats nothing, and it has what
its provider's library gave it: parts, a total, or both. All of that is made one count vector here,
once, and that is what is queued, hashed, stored and charged.

* A total that is declared holds, else it is input + output; one that is not above zero was not
  declared. Each event decides for itself: of some that declare it and some that do not, none is
  lost in a sum.
* A total alone counts as input, which it mostly is; with one part the other is the rest.
* What a total has beyond both parts was generated and shown to nobody: it counts as reasoning.
* Cache tokens are a part of the input, reasoning of the output: a sender whose part is smaller than
  what it is made of, or whose total says so, meant them beside it.
* Without any token the call is unmetered: unknown is not zero.

Where a declared total is below its parts the parts are charged, and the total is shown as declared.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.record import CallContext, CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey, context_class

__all__ = ["UsageEvent", "event_counts"]

_UNMETERED = TokenCounts(calls=1, unmetered_calls=1)


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One call. ``at`` is in ms, UTC; ``agent_id`` is the sender's, by its credential alone.

    ``total`` is what was declared, else ``counts.total``. Session, runs and the event's id are the
    sender's own names, "" where it has none; they mean something within its agent only.
    """

    agent_id: str
    at: int
    provider: str
    model: str
    counts: TokenCounts
    total: int
    tool_calls: int = 0
    session: str = ""
    run: str = ""
    parent_run: str = ""
    event_id: str = ""

    def record(self, seq: int) -> UsageRecord:
        """The event as the record ``seq`` of the instance that brings it to the store."""
        unmetered = bool(self.counts.unmetered_calls)
        return UsageRecord(
            seq,
            self.at,
            SeriesKey(self.provider, self.model, context_class=context_class(self.counts.input)),
            self.counts,
            CallStatus.UNMETERED if unmetered else CallStatus.OK,
            call_id=self.event_id,
            context=CallContext(session=self.session, run=self.run, parent_run=self.parent_run),
        )


def event_counts(
    size: int | None,
    output: int | None,
    total: int | None = None,
    *,
    cache_read: int = 0,
    cache_write: int = 0,
    reasoning: int = 0,
) -> tuple[TokenCounts, int]:
    """The counts of an event and its total, from what it says; None is what it does not say.

    ``size`` is the input. Every number but ``total`` is a count; the sums saturate.
    """
    declared = total if total is not None and total > 0 else None
    cached = cache_read + cache_write
    if size is not None and cached and (cached > size or declared == size + cached + (output or 0)):
        size += cached
    if output is not None and reasoning > output:
        output += reasoning
    if size is None:
        size = max((declared or 0) - (output or 0), cached)
    if output is None:
        output = max((declared or 0) - size, reasoning)
    hidden = max((declared or 0) - size - output, 0)
    output += hidden
    if not size + output:
        return _UNMETERED, 0
    counts = TokenCounts(
        *(min(size, MAX_COUNT), min(output, MAX_COUNT), cache_read),
        cache_write_unspecified=cache_write,
        reasoning=min(reasoning + hidden, MAX_COUNT),
        calls=1,
    )
    return counts, declared or counts.total
