"""What the control plane says that an object costs, from its answer to the status.

An answer is true of the moment in which the object was asked for; what was counted since is added
as the operator's own estimate. Before the first answer of this process the status itself is what is
known, and the moment is that of the counts in it. So nothing that is shown falls back when the
operator starts anew, or while the control plane is away.

The charges are the agent's, by namespace and ``agentRef.name``: two objects that name one agent
both show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentspec_usage.controller.charged import Charged, Standing, standing_of
from agentspec_usage.controller.observation_outbox import Batch
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.controller.register import Register
from agentspec_usage.metering.checkpoint import AccruedCost
from agentspec_usage.status.charges import Charges, charges_of, charges_of_status
from agentspec_usage.wire.observed_answer import LedgerSaid, ObservedAnswer

__all__ = ["Charging"]


class Charging:
    """Keeps the newest answer of each record. ``ledger`` is the newest head of the journal."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self.ledger: LedgerSaid | None = None

    def take(self, answer: ObservedAnswer, batch: Batch) -> list[tuple[ObservationRecord, bool]]:
        """Take an answer to ``batch``; the records of which it says something else than before, and
        whether it is the first word of them.
        """
        if answer.ledger is not None:
            self.ledger = answer.ledger
        said = {(agent.namespace, agent.name): agent for agent in answer.agents}
        moved = []
        for uid, question in batch.asked.items():
            record = self._register.get(uid)
            agent = None
            if record is not None and not record.kept_by_control_plane:
                agent = said.get((record.namespace, question.agent))
            if record is None or agent is None:
                continue
            charges = charges_of(agent, today_ends=answer.today_ends, month_ends=answer.month_ends)
            before, record.charged = record.charged, Charged(charges, question.standing)
            if before != record.charged:
                moved.append((record, before is None))
        return moved

    def charges(self, record: ObservationRecord, previous: Mapping[str, Any], now: int) -> Charges:
        """What to show of ``record`` at ``now`` (ms), over the status that stands there."""
        charged = record.charged
        if charged is None:
            known = charges_of_status(previous.get("usage") or {})
            standing = standing_of(record.written or record.checkpoint)
            if known.cost is None:
                standing = Standing(record.checkpoint.epoch, 0, AccruedCost())
            charged = Charged(known, standing)
        return charged.at(record.checkpoint, now)
