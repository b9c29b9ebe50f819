"""The operator's status as a checkpoint: how scrapes become totals that never count twice.

An object's usage is a fold over readings. Its state remembers, of every live instance, where
counting began and the most that was seen; of what ended, one sum and a tombstone each. The state
travels in the object's own status (``wire.writer_state`` packs it), so an operator that starts
anywhere goes on where the last write stood; since scrapes are cumulative, whatever happened in
between is in the next one.

The steps are pure functions from a checkpoint to the next:

* ``observe`` — a reading came from a pod. A join: order and repetition change nothing.
* ``fold`` — pods ended for certain. Moves numbers, changes none.
* ``carry_over`` — somebody else wrote the object in between.
* ``growth`` — what the observation added, by series: what has to be priced.
* ``restart_epoch`` — the written numbers cannot be trusted: a new epoch counts from what is seen.

This module is the address; each topic has a module of its own.
"""

from __future__ import annotations

from agentspec_usage.metering.carrying import carry_over, restart_epoch
from agentspec_usage.metering.folding import fold
from agentspec_usage.metering.growth import growth
from agentspec_usage.metering.models import ModelUsage
from agentspec_usage.metering.observing import (
    choose_source,
    needs_confirmation,
    observe,
    source_of,
)
from agentspec_usage.metering.reporting import (
    InstanceView,
    instances,
    model_usage,
    pods,
    reasons,
    same_numbers,
    totals,
    upper_tokens,
    window_started_at,
)
from agentspec_usage.metering.state import (
    AccruedCost,
    Checkpoint,
    PodIdentity,
    Source,
    new_checkpoint,
)

__all__ = [
    "AccruedCost",
    "Checkpoint",
    "InstanceView",
    "ModelUsage",
    "PodIdentity",
    "Source",
    "carry_over",
    "choose_source",
    "fold",
    "growth",
    "instances",
    "model_usage",
    "needs_confirmation",
    "new_checkpoint",
    "observe",
    "pods",
    "reasons",
    "restart_epoch",
    "same_numbers",
    "source_of",
    "totals",
    "upper_tokens",
    "window_started_at",
]
