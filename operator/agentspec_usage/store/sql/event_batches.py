"""Batches of usage events, made again from the rows that are stored now."""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.store.events import CheckedBatch
from agentspec_usage.store.proof.event_batch import (
    ChargedLink,
    EventBatch,
    batch_of,
    encode_batch,
    read_batch,
)
from agentspec_usage.store.proof.event_chain import read_link
from agentspec_usage.store.queries import AgentName
from agentspec_usage.store.sql.charging import money_of
from agentspec_usage.store.sql.connection import Connection

__all__ = ["BATCHES", "StoredBatch", "checked_batch", "finding_of", "made_now"]

BATCHES = """
    SELECT batch, batch_id, namespace, name, told
    FROM event_batches JOIN agents USING (agent)"""

_LINKS = """
    SELECT usage_events.item, link, received_at, milli, pico, priced, currency
    FROM usage_events LEFT JOIN items USING (item) LEFT JOIN prices USING (price)
    WHERE usage_events.batch = ? ORDER BY usage_events.item"""


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A row of ``BATCHES``: what was told of a batch."""

    number: int
    batch_id: str
    namespace: str
    name: str
    told: str


def checked_batch(connection: Connection, batch_id: str, agent_id: str) -> CheckedBatch | None:
    """The batch as it was told, and what is wrong with it; None where there is none such."""
    row = connection.execute(
        f"{BATCHES} WHERE batch_id = ? AND (agent_id = ? OR ? = '')", (batch_id, agent_id, agent_id)
    ).fetchone()
    if row is None:
        return None
    stored = StoredBatch(*row)
    made, finding = made_now(connection, stored)
    batch = read_batch(stored.told) or made
    if batch is None:
        return None
    return CheckedBatch(batch, finding or _difference(stored, made))


def finding_of(connection: Connection, stored: StoredBatch) -> str:
    """What is wrong with the batch; "" when its rows still make what was told."""
    made, finding = made_now(connection, stored)
    return finding or _difference(stored, made)


def made_now(connection: Connection, stored: StoredBatch) -> tuple[EventBatch | None, str]:
    """The batch that its rows make; or none, and what is wrong with them."""
    charged: list[ChargedLink] = []
    flushed_at = 0
    for item, text, received_at, milli, pico, priced, currency in connection.execute(
        _LINKS, (stored.number,)
    ):
        link = read_link(text)
        if link is None or (link.event["item"], link.event["batchId"]) != (item, stored.batch_id):
            return None, f"its event of row {item} is not what was accepted"
        if received_at is None:
            return None, f"row {item}, as which its event was charged, is missing"
        money = money_of(milli, pico, currency) if currency else None
        charged.append(ChargedLink(link, money, bool(priced)))
        flushed_at = received_at
    if not charged:
        return None, "its events are missing"
    agent = str(AgentName(stored.namespace, stored.name))
    return batch_of(stored.batch_id, agent, flushed_at, charged), ""


def _difference(stored: StoredBatch, made: EventBatch | None) -> str:
    if made is not None and encode_batch(made) == stored.told:
        return ""
    return "its events do not make what was told of it"
