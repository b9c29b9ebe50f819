"""Applying frames: what the pure rule decides, written in the same transaction.

``metering.receiving.accept`` says what becomes of a frame; here items, watermark and totals follow
it. The caller commits, and tells the answers after that and never before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.receiving import Answers, Apply, Gap, accept
from agentspec_usage.store.proof.rows import RowEncoder
from agentspec_usage.store.sqlite.agents import agent_row
from agentspec_usage.store.sqlite.charges import Charges
from agentspec_usage.store.sqlite.instances import (
    conflicted,
    instance_row,
    move_watermark,
    raise_reported,
    watermark_of,
)
from agentspec_usage.store.sqlite.items import NewItems, SeriesNumbers
from agentspec_usage.store.values import Applied, DigestedFrame

__all__ = ["apply_frames"]


def apply_frames(
    connection: sqlite3.Connection,
    series: SeriesNumbers,
    encoder: RowEncoder,
    charges: Charges,
    agent_id: str,
    frames: Sequence[DigestedFrame],
    now: int,
) -> Applied:
    """Apply ``frames`` as the agent's, inside the transaction that is open."""
    of_agent = agent_row(connection, agent_id)
    agent = of_agent.number
    new = NewItems(connection, series, encoder, charges, of_agent, now)
    answers = Answers()
    items = 0
    conflicts: list[str] = []
    rolled_back: list[str] = []
    for digested in frames:
        frame = digested.frame
        # Read inside the transaction: earlier frames of it, of this body or another, are in it.
        verdict = accept(watermark_of(connection, agent, frame.instance_id), frame, digested.digest)
        if isinstance(verdict, Gap):
            answers.gaps[frame.instance_id] = verdict.have
            continue
        if isinstance(verdict, Apply):
            _store(connection, new, agent, frame, verdict, now)
            answers.durable[frame.instance_id] = verdict.next.seq
            items += len(frame.items)
            if verdict.missing:
                rolled_back.append(frame.instance_id)
        else:
            answers.durable[frame.instance_id] = verdict.watermark.seq
            if verdict.conflict:
                conflicted(connection, agent, frame.instance_id)
                conflicts.append(frame.instance_id)
    new.write()
    return Applied(answers, items, tuple(conflicts), tuple(rolled_back))


def _store(
    connection: sqlite3.Connection,
    new: NewItems,
    agent: int,
    frame: Frame,
    verdict: Apply,
    now: int,
) -> None:
    instance = instance_row(connection, agent, frame.instance_id, frame.observer, now)
    new.add(instance, frame)
    if verdict.missing:
        new.add_lost(instance, frame, verdict.missing)
    move_watermark(connection, instance.number, verdict.next, now, lost=bool(verdict.missing))
    raise_reported(connection, instance.number, frame.totals)
