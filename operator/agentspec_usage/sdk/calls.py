"""One call on its way: begun before the request, ended exactly once, whichever way it ends.

How it ends decides what is counted:

* with usage: its counts, marked aborted where the stream broke before the provider's last word;
* without usage, though the provider may have worked on it: one unmetered call, never zero tokens;
* refused by the provider (4xx), or never sent: nothing;
* worked on in the background: nothing yet. Its usage is counted when it is read (``background``).
"""

from __future__ import annotations

import json
from dataclasses import replace

from agentspec_usage.extraction.measured import Measured
from agentspec_usage.extraction.reading import Reading
from agentspec_usage.extraction.surface import Surface as ApiSurface
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.runtime.ids import new_instance_id
from agentspec_usage.sdk.context import current_context
from agentspec_usage.sdk.ledger import UsageLedger
from agentspec_usage.sdk.shield import shielded
from agentspec_usage.sdk.sightings import Surface, current_scope

__all__ = ["Call", "Retrieval", "was_sent"]

_MAX_RAW = 2048

_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"})
"""What httpx (and what succeeds it) calls the failures before a request is on its way."""


class Call:
    """A call of a wrapped provider client."""

    def __init__(
        self,
        ledger: UsageLedger,
        provider: str,
        surface: ApiSurface,
        request_model: str,
        *,
        background: bool = False,
    ) -> None:
        self.call_id = new_instance_id()
        self.surface = surface
        self.reading = Reading()
        self.streaming = False
        self._ledger = ledger
        self._provider = provider
        self._request_model = request_model
        self._background = background
        self._context = current_context()
        self._scope = current_scope()
        self._began = ledger.clock.monotonic()
        self._first: float | None = None
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the call was counted, or found to have used nothing."""
        return self._ended

    def saw_event(self, event: object) -> None:
        """An event of the stream came."""
        if self._first is None:
            self._first = self._ledger.clock.monotonic()
        self.surface.dialect.event(self.reading, event)

    def responded(self, response: object) -> None:
        """The whole response came."""
        if not self._ended:
            shielded(self.surface.dialect.response, self.reading, response)
            self.end()

    def failed(self, error: BaseException) -> None:
        """The request raised ``error``."""
        if was_sent(error):
            self.end()
        else:
            self._ended = True

    def end(self, *, late: bool = False) -> None:
        """Count what was read. ``late``: the garbage collector may be running this."""
        if self._ended:
            return
        self._ended = True
        measured = shielded(self.surface.dialect.measured, self.reading) or ()
        records = self._records(measured)
        response_id = self.surface.id_of(self.reading.response_id)
        if self._background and response_id and not self.reading.complete:
            now = self._ledger.clock.monotonic()
            self._count(self._ledger.background.begin(response_id, records[0], now), late=late)
        else:
            self._count(records, late=late)

    def _count(self, records: list[UsageRecord], *, late: bool) -> None:
        for record in records:
            if late:
                self._ledger.meter_late(record)
            else:
                self._ledger.meter(record)
                self._ledger.sightings.counted(Surface.CLIENT, record.response_id)
            if self._scope is not None:
                self._scope.add(record)

    def _records(self, measured: tuple[Measured, ...]) -> list[UsageRecord]:
        reading = self.reading
        key = SeriesKey(
            self._provider,
            reading.model or self._request_model,
            self.surface.operation,
            reading.service_tier,
            reading.region,
        )
        now = self._ledger.clock.monotonic()
        record = UsageRecord(
            seq=0,
            at=0,
            key=key,
            counts=TokenCounts(calls=1, unmetered_calls=1),
            status=CallStatus.UNMETERED,
            request_model=self._request_model,
            call_id=self.call_id,
            response_id=self.surface.id_of(reading.response_id),
            requests=dict(reading.requests),
            duration_ms=round((now - self._began) * 1000),
            ttft_ms=None if self._first is None else round((self._first - self._began) * 1000),
            context=self._context,
        )
        if not measured:
            return [record]
        status = CallStatus.OK if reading.complete else CallStatus.ABORTED
        main, *others = measured
        records = [_with(record, main, status, reading)]
        # An inference of another model within the call: counted apart, named by no id of its own.
        for other in others:
            apart = _with(record, other, status, reading)
            records.append(replace(apart, call_id="", response_id="", requests={}))
        return records


class Retrieval(Call):
    """Reading a stored response, or ending one: a call of its own never, the end of one maybe."""

    def failed(self, error: BaseException) -> None:
        self._ended = True

    def end(self, *, late: bool = False) -> None:
        if self._ended:
            return
        self._ended = True
        if self.reading.pending:
            return
        begun = self._ledger.background.take(self.surface.id_of(self.reading.response_id))
        if begun is None:
            return
        self.call_id = begun.call_id
        self._request_model = begun.request_model
        self._context = begun.context
        measured = shielded(self.surface.dialect.measured, self.reading) or ()
        records = self._records(measured)
        self._count(
            [replace(record, duration_ms=None, ttft_ms=None) for record in records], late=late
        )


def _with(
    record: UsageRecord, measured: Measured, status: CallStatus, reading: Reading
) -> UsageRecord:
    key = replace(record.key, model=measured.model) if measured.model else record.key
    raw = (shielded(_raw, reading.usage) or "") if measured.flaw else ""
    return replace(record, key=key, counts=measured.counts, status=status, raw=raw)


def _raw(usage: object) -> str:
    """The usage object as text, kept where its numbers contradict each other."""
    dump = getattr(usage, "model_dump_json", None)
    text = json.dumps(usage, default=str) if dump is None else dump()
    return str(text)[:_MAX_RAW]


def was_sent(error: BaseException) -> bool:
    """Whether the provider may have worked on a request that raised ``error``."""
    status = getattr(error, "status_code", None)
    if type(status) is int:
        return status >= 500
    if not isinstance(error, Exception):
        # Interrupted or cancelled while waiting.
        return True
    cause = error.__cause__
    return cause is not None and type(cause).__name__ not in _NEVER_SENT
