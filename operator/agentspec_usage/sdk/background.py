"""Responses that a provider works on in the background: begun now, used later, counted once.

The answer to such a request has no usage; a later reading of the stored response has. So the call
is set aside under its response id, and the reading that first tells how it ended takes it out and
counts it: whoever reads the response again finds nothing to count. A response that was not begun
here (by another process, or before the client was wrapped) counts nothing when it is read, because
whoever began it may have counted it.

A call whose usage nobody reads is not forgotten: when there are too many, after a day, and when the
process ends, it is counted as unmetered.
"""

from __future__ import annotations

from threading import RLock

from agentspec_usage.metering.record import UsageRecord

__all__ = ["MAX_BEGUN", "BackgroundCalls"]

MAX_BEGUN = 1024
"""Calls that are set aside, about 1 kB each."""

_LONGEST_SECONDS = 24 * 60 * 60.0


class BackgroundCalls:
    """Calls that go on elsewhere, as the unmetered records that they are until more is known."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may close a dropped stream within any of these methods.
        self._lock = RLock()
        self._begun: dict[str, tuple[UsageRecord, float]] = {}

    def begin(self, response_id: str, record: UsageRecord, now: float) -> list[UsageRecord]:
        """Set ``record`` aside at ``now`` (monotonic seconds); those that are waited for no
        longer, to be counted as they are.
        """
        with self._lock:
            self._begun.setdefault(response_id, (record, now))
            return self._given_up(now)

    def take(self, response_id: str) -> UsageRecord | None:
        """The call, to whoever asks first; None when it was not begun here or is counted."""
        with self._lock:
            begun = self._begun.pop(response_id, None)
            return None if begun is None else begun[0]

    def take_all(self) -> list[UsageRecord]:
        """Every call that is still set aside: the process ends."""
        with self._lock:
            records = [record for record, _ in self._begun.values()]
            self._begun.clear()
            return records

    def _given_up(self, now: float) -> list[UsageRecord]:
        given_up = []
        while (oldest := next(iter(self._begun), None)) is not None:
            record, since = self._begun[oldest]
            if len(self._begun) <= MAX_BEGUN and now - since <= _LONGEST_SECONDS:
                break
            del self._begun[oldest]
            given_up.append(record)
        return given_up
