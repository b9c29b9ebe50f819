"""Applying frames: what the pure rule decides, written in the same transaction.

``metering.receiving.accept`` says what becomes of a frame; here items, watermark and totals follow
it. The caller commits, and tells the answers after that and never before.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.receiving import Answers, Apply, Gap, accept
from agentspec_usage.store.sql.agents import AgentRow, agent_row
from agentspec_usage.store.sql.charging import Charging
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import Dictionaries
from agentspec_usage.store.sql.instances import (
    InstanceRow,
    conflicted,
    instance_row,
    move_watermark,
    watermark_of,
)
from agentspec_usage.store.sql.items import NewItems, seqs_skipped
from agentspec_usage.store.sql.names import rivals
from agentspec_usage.store.sql.tail import Deliveries
from agentspec_usage.store.values import Applied, DigestedFrame

__all__ = ["apply_frames"]


def apply_frames(
    connection: Connection,
    dictionaries: Dictionaries,
    charging: Charging,
    agent_id: str,
    frames: Sequence[DigestedFrame],
    now: int,
) -> Applied:
    """Apply ``frames`` as the agent's, inside the transaction that is open."""
    of_agent = agent_row(connection, agent_id)
    agent = of_agent.number
    new = NewItems(connection, dictionaries, charging, now)
    deliveries = Deliveries(new)
    answers = Answers()
    items = 0
    conflicts: list[str] = []
    rolled_back: list[str] = []
    for digested in frames:
        frame = digested.frame
        # Read inside the transaction: earlier frames of it, of this body or another, are in it.
        stood = watermark_of(connection, agent, frame.instance_id)
        verdict = accept(stood, frame, digested.digest)
        if isinstance(verdict, Gap):
            answers.gaps[frame.instance_id] = verdict.have
            continue
        if isinstance(verdict, Apply):
            instance, lost = _store(connection, new, deliveries, of_agent, frame, verdict, now)
            if stood.newest is None:
                # The first of its calls: what was seen of them as another agent's is this one's.
                others = rivals(connection, of_agent, frame.instance_id)
                deliveries.take_over(of_agent, instance, others)
            answers.durable[frame.instance_id] = verdict.next.seq
            items += len(frame.items)
            if lost:
                rolled_back.append(frame.instance_id)
        else:
            answers.durable[frame.instance_id] = verdict.watermark.seq
            if verdict.conflict:
                conflicted(connection, agent, frame.instance_id)
                conflicts.append(frame.instance_id)
    deliveries.settle()
    new.write()
    return Applied(answers, items, tuple(conflicts), tuple(rolled_back))


def _store(
    connection: Connection,
    new: NewItems,
    deliveries: Deliveries,
    agent: AgentRow,
    frame: Frame,
    verdict: Apply,
    now: int,
) -> tuple[InstanceRow, bool]:
    """Its instance, and whether calls of it were durable once and are gone."""
    instance = instance_row(connection, agent.number, frame.instance_id, frame.observer, now)
    brought = new.add(agent, instance, frame)
    skipped = seqs_skipped(frame)
    lost = bool(verdict.missing) or skipped > 0
    if lost:
        # Also of nothing: items cover every seq up to the watermark, which proves it.
        new.add_lost(agent, instance, frame, verdict.missing, skipped)
    move_watermark(connection, instance.number, verdict.next, now, lost=lost)
    deliveries.add(instance, frame.totals, brought, verdict.missing if lost else None)
    return instance, lost
