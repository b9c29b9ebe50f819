"""Calls that are seen from outside: in LangChain's callbacks and in the messages of a node.

What a surface further in has counted is not counted again (``sightings``); it is only reported as
seen, so that a surface's own list of calls is whole.
"""

from __future__ import annotations

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallContext, CallStatus, UsageRecord
from agentspec_usage.sdk.call_details import series_key
from agentspec_usage.sdk.ledger import UsageLedger
from agentspec_usage.sdk.messages import MessageUsage
from agentspec_usage.sdk.sightings import Scope, Surface

__all__ = ["count_unless_counted", "seen_record"]

_UNMETERED = TokenCounts(calls=1, unmetered_calls=1)


def seen_record(
    usage: MessageUsage,
    *,
    model_id: str,
    context: CallContext,
    aborted: bool = False,
    duration_ms: int | None = None,
) -> UsageRecord:
    """The record of a call as a message tells it; ``model_id`` where the message names no model.

    A model that the message names without its provider is of the provider in ``model_id``.
    """
    asked = series_key(model_id)
    key = series_key(
        usage.model or asked.model,
        usage.provider or asked.provider,
        service_tier=usage.service_tier,
    )
    status = CallStatus.ABORTED if aborted else CallStatus.OK
    return UsageRecord(
        seq=0,
        at=0,
        key=key,
        counts=_UNMETERED if usage.measured is None else usage.measured.counts,
        status=CallStatus.UNMETERED if usage.measured is None else status,
        request_model=asked.model,
        response_id=usage.response_id,
        duration_ms=duration_ms,
        context=context,
    )


def count_unless_counted(
    ledger: UsageLedger,
    surface: Surface,
    record: UsageRecord,
    inside: Scope | None,
    *,
    late: bool = False,
) -> bool:
    """Count ``record`` unless a surface inside the block ``inside`` did; whether it was counted."""
    known = not late and ledger.sightings.recognised(surface, record.response_id)
    claimed = inside is not None and inside.claim(record)
    if known or claimed:
        return False
    if late:
        ledger.meter_late(record)
    else:
        ledger.meter(record)
        ledger.sightings.counted(surface, record.response_id)
    if inside is not None and inside.outer is not None:
        inside.outer.add(record)
    return True
