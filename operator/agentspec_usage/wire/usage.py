"""Decoding a usage snapshot: ``GET /agentspec/usage`` and what heartbeats carry.

Two dialects in one shape. AgentSpec's own has a window, models and their sums; ours adds an
instance id (and so cumulative totals), the whole count vector in ``totals``, and ``instances``
where several processes share the port.

What is refused, and what is only flagged:

* **refused**: a value that is not what its field takes, and sums that contradict each other
  (``totalTokens`` against the parts, rows that exceed ``totals``), for then no number in the body
  can be trusted;
* **flagged** as an invalid call: a part that exceeds its whole (more cached than input tokens, more
  unmetered calls than calls). The totals still hold, only the detail does not;
* **ignored**: unknown fields, and values of ``observer`` that a later version may add.

Errors name the field, ``models[3].promptTokens``, and never what stood in it.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts, sum_counts
from agentspec_usage.metering.names import bounded_name, is_showable
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.shapes import (
    NO_CACHE_WRITE,
    CacheWrite,
    Count,
    InstanceId,
    Shape,
    Time,
    Totals,
    wire_error,
)

__all__ = ["MAX_INSTANCES", "decode_usage", "reading_of"]

MAX_INSTANCES = 64
"""Processes behind one port."""


def decode_usage(body: bytes) -> UsageReading:
    """The reading in ``body``. Raises ``WireError``, which names the field and the expectation."""
    return reading_of(strict_json.loads(body))


def reading_of(document: object) -> UsageReading:
    """The same of a document that ``strict_json`` has read, as a part of a larger one."""
    if not isinstance(document, dict):
        raise WireError("", "an object")
    try:
        if document.get("instances") is None:
            return UsageReading((_Snapshot.model_validate(document).snapshot(""),))
        entries = _Processes.model_validate(document).instances
    except ValidationError as error:
        raise wire_error(error) from None
    if len({entry.instance_id for entry in entries}) != len(entries):
        raise WireError("instances", "entries of distinct instances")
    return UsageReading(
        tuple(entry.snapshot(f"instances[{position}].") for position, entry in enumerate(entries))
    )


def _showable(name: str) -> str:
    if not is_showable(name):
        raise PydanticCustomError("showable", "Input should be printable characters")
    return bounded_name(name)


Name = Annotated[str, Field(max_length=1024), AfterValidator(_showable)]


class _Row(Shape):
    """One series, by AgentSpec's names."""

    model_id: Name
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    total_tokens: Count | None = None
    call_count: Count = 0
    provider: Name | None = None
    model: Name | None = None
    operation: Name = "chat"
    service_tier: Name = ""
    region: Name = ""
    batch: bool = False
    context_class: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: CacheWrite = NO_CACHE_WRITE
    reasoning_tokens: Count = 0
    audio_input_tokens: Count = 0
    audio_output_tokens: Count = 0
    image_input_tokens: Count = 0
    image_output_tokens: Count = 0
    unmetered_calls: Count = 0

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.total_tokens is not None:
            total = min(self.prompt_tokens + self.completion_tokens, MAX_COUNT)
            if self.total_tokens != total:
                raise PydanticCustomError(
                    "sum", "Input should be a row whose totalTokens is prompt plus completion"
                )
        return self

    def row(self) -> SeriesRow:
        provider, model = self._named()
        written = self.cache_write_tokens
        return SeriesRow(
            SeriesKey(
                provider,
                model,
                self.operation,
                self.service_tier,
                self.region,
                self.batch,
                self.context_class,
            ),
            TokenCounts(
                self.prompt_tokens,
                self.completion_tokens,
                self.cache_read_tokens,
                written.m5,
                written.m30,
                written.h1,
                written.h12,
                written.unspecified,
                self.reasoning_tokens,
                self.audio_input_tokens,
                self.audio_output_tokens,
                self.image_input_tokens,
                self.image_output_tokens,
                self.call_count,
                self.unmetered_calls,
            ),
        )

    def _named(self) -> tuple[str, str]:
        """Provider and model; a model id alone is ``provider/model``, or the bare model."""
        if self.provider is not None:
            prefix = f"{self.provider}/"
            return self.provider, self.model or self.model_id.removeprefix(prefix)
        provider, slash, model = self.model_id.partition("/")
        if not slash:
            return "", self.model or self.model_id
        return provider, self.model or model


class _Snapshot(Shape):
    """One process, or all behind a port summed."""

    models: list[_Row]
    window_started_at: Time | None = None
    total_tokens: Count | None = None
    total_calls: Count | None = None
    instance_id: InstanceId | None = None
    seq: Count | None = None
    observer: Name | None = None
    observed_at: Time | None = None
    final: bool = False
    via: Name | None = None
    invalid_calls: Count = 0
    totals: Totals | None = None
    upper_tokens: Count | None = None

    def snapshot(self, path: str) -> UsageSnapshot:
        """The value; ``path`` is where in the body this snapshot stands, for errors."""
        rows = tuple(row.row() for row in self.models)
        listed = sum_counts(row.counts for row in rows)
        totals = listed if self.totals is None else self.totals.counts()
        if not totals.covers(listed):
            raise WireError(f"{path}models", "rows that sum to no more than totals")
        if self.total_tokens is not None and self.total_tokens != totals.total:
            raise WireError(f"{path}totalTokens", "the sum of the input and output tokens")
        if self.total_calls is not None and self.total_calls != totals.calls:
            raise WireError(f"{path}totalCalls", "the sum of the calls")
        fits = _parts_fit(totals) and all(_parts_fit(row.counts) for row in rows)
        return UsageSnapshot(
            totals=totals,
            rows=rows,
            instance_id=self.instance_id,
            observer=self._observed_by(),
            seq=self.seq,
            window_started_at=self.window_started_at,
            observed_at=self.observed_at,
            final=self.final,
            via=self.via,
            invalid_calls=self.invalid_calls if fits else max(self.invalid_calls, 1),
            upper_tokens=self.upper_tokens,
        )

    def _observed_by(self) -> Observer:
        if self.instance_id is None:
            return Observer.LEGACY
        return _OBSERVERS.get(self.observer or "", Observer.SDK)


class _Entry(_Snapshot):
    """One of several processes: it must say which."""

    instance_id: InstanceId


class _Processes(Shape):
    """A body of several processes. The top level is their sum, which a reader has no use for."""

    instances: Annotated[list[_Entry], Field(max_length=MAX_INSTANCES)]


_OBSERVERS = {str(observer): observer for observer in Observer}


def _parts_fit(counts: TokenCounts) -> bool:
    return (
        counts.cache_read + counts.cache_write <= counts.input
        and counts.audio_in + counts.image_in <= counts.input
        and counts.reasoning <= counts.output
        and counts.audio_out + counts.image_out <= counts.output
        and counts.unmetered_calls <= counts.calls
    )
