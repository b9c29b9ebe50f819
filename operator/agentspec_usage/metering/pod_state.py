"""All that a pod's ledger knows, as a value: what a file keeps in place of the events so far.

A ledger that goes on from such a value does with every later event what the ledger would have done
that saw all the earlier ones; so whoever keeps events can forget them for a state now and then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.pod_calls import Now, ProxiedCall
from agentspec_usage.metering.receiving import Watermark
from agentspec_usage.metering.record import UsageRecord

__all__ = ["NEW_POD", "CallsState", "PodState"]


@dataclass(frozen=True, slots=True)
class CallsState:
    """The calls that are remembered, in the order of their last change, and the clocks."""

    calls: tuple[ProxiedCall, ...] = ()
    clock: Now | None = None
    swept: int = 0
    horizon: int = -1


@dataclass(frozen=True, slots=True)
class PodState:
    """Over the life of the ledger, of which ``before`` is what earlier instances showed;
    ``entered_before`` and ``seq_before`` are what entered in them.
    """

    calls: CallsState = CallsState()
    listed: tuple[UsageRecord, ...] = ()
    entered: TokenCounts = ZERO
    seq: int = 0
    before: TokenCounts = ZERO
    entered_before: TokenCounts = ZERO
    seq_before: int = 0
    senders: dict[str, Watermark] = field(default_factory=dict)
    others: dict[str, TokenCounts] = field(default_factory=dict)
    unjoined: int = 0
    upper: int = 0


NEW_POD = PodState()
