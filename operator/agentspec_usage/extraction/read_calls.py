"""From what was read of a response to the calls that it tells of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.measured import Measured
from agentspec_usage.extraction.reading import Dialect, Reading
from agentspec_usage.extraction.request import RequestFacts
from agentspec_usage.extraction.unknown_fields import unknown_fields
from agentspec_usage.extraction.values import ReadCall
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.metering.record_bounds import MAX_RAW_BYTES
from agentspec_usage.metering.series import SeriesKey, context_class

__all__ = ["CallsRead", "read_calls"]

_REPEATED = MappingProxyType({"served_from_cache": 1})

_BEDROCK_SCOPES = frozenset({"global", "us", "us-gov", "eu", "apac", "jp", "au", "ca"})
"""What a Bedrock model's id begins with where it may be answered in another region than asked."""


@dataclass(frozen=True, slots=True)
class CallsRead:
    """``fault`` says why usage that is there could not be read, "" where it could."""

    calls: tuple[ReadCall, ...] = ()
    mismatches: int = 0
    unknown_fields: tuple[str, ...] = ()
    fault: str = ""


def read_calls(
    request: RequestFacts,
    reading: Reading,
    dialect: Dialect | None = None,
    *,
    operation: str = "",
    repeated: bool = False,
) -> CallsRead:
    """The calls of one reading. ``dialect`` and ``operation`` where they are not the surface's:
    sessions speak several. ``repeated``: a gateway answered from its own cache.
    """
    dialect = dialect or request.surface.dialect
    try:
        measured = dialect.measured(reading)
    except WireError as error:
        return CallsRead(fault=str(error))
    if not measured:
        return CallsRead()
    raw = _raw(reading.usage)
    main, *others = measured
    calls = [_call(request, reading, main, raw, reading.requests)]
    # An inference of another model within the call: counted apart, named by no id of its own.
    calls += [replace(_call(request, reading, other, raw, {}), response_id="") for other in others]
    if operation:
        calls = [replace(one, key=replace(one.key, operation=operation)) for one in calls]
    if repeated:
        calls = [replace(calls[0], counts=TokenCounts(calls=1), requests=_REPEATED)]
    return CallsRead(
        tuple(calls),
        sum(one.flaw for one in measured),
        unknown_fields(reading.usage, dialect.fields),
    )


def _call(
    request: RequestFacts,
    reading: Reading,
    measured: Measured,
    raw: str,
    requests: Mapping[str, int],
) -> ReadCall:
    response_id = request.surface.id_of(reading.response_id)
    key = SeriesKey(
        request.provider,
        measured.model or reading.model or request.model,
        request.surface.operation,
        reading.service_tier,
        reading.region or request.route.region or _scope(request),
        context_class=context_class(measured.counts.input),
    )
    return ReadCall(
        key,
        measured.counts,
        CallStatus.OK if reading.complete and not measured.partial else CallStatus.ABORTED,
        response_id,
        request.model,
        MappingProxyType(dict(requests)),
        raw,
        measured.input_includes_cache,
        retrievable=request.stored and bool(response_id),
    )


def _scope(request: RequestFacts) -> str:
    if not request.surface.name.startswith("bedrock."):
        return ""
    first = request.model.partition(".")[0]
    return first if first in _BEDROCK_SCOPES else ""


def _raw(usage: object) -> str:
    """The usage object as JSON. One that was cut would be none, so an overlong one is left out."""
    try:
        text = json.dumps(usage, separators=(",", ":"))
    except RecursionError:
        return ""
    return text if len(text) <= MAX_RAW_BYTES else ""
