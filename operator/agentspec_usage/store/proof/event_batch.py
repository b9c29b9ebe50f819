"""A batch: the events of one session and run that were stored together, and the hash of them.

What is told of a batch is told once (``usage.batch_flushed``) and kept as the text that it was. The
same batch can be made again from the rows, so whoever has what was told can ask whether the rows
still are those: the hash is over the links as they are stored, in the order of their chain, and the
sums and the cost are those of the links and of their items.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from agentspec_usage.pricing.money import Money, by_currency
from agentspec_usage.store.proof.event_chain import Link, canonical_json

__all__ = ["ChargedLink", "EventBatch", "batch_of", "encode_batch", "read_batch"]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """``total_tokens`` sums what each event declared, or had in parts; ``costs`` is an exact
    decimal for each currency; ``unpriced`` counts the calls without a whole price.
    """

    batch_id: str
    agent: str
    session: str
    run: str
    parent_run: str
    at: int
    events: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    tool_calls: int
    costs: Mapping[str, str]
    unpriced: int
    models: tuple[str, ...]
    hash: str


@dataclass(frozen=True, slots=True)
class ChargedLink:
    """A link with the money of its item; None where it has no price."""

    link: Link
    money: Money | None
    priced: bool


def batch_of(batch_id: str, agent: str, at: int, charged: Sequence[ChargedLink]) -> EventBatch:
    """The batch that these links are, which all are of its session and run."""
    ordered = sorted(charged, key=lambda one: one.link.seq)
    first = ordered[0].link.said
    events = [one.link.event for one in ordered]

    def total(name: str) -> int:
        return sum(event[name] for event in events)

    costs = by_currency(one.money for one in ordered if one.money is not None)
    return EventBatch(
        batch_id,
        agent,
        first["sessionId"],
        first["runId"],
        first.get("parentRunId", ""),
        at,
        len(ordered),
        total("inputTokens"),
        total("outputTokens"),
        total("totalTokens"),
        total("toolCalls"),
        {money.currency: str(money) for money in costs},
        sum(not one.priced for one in ordered),
        tuple(sorted({event["model"] for event in events})),
        sha256(f"[{','.join(one.link.text for one in ordered)}]".encode()).hexdigest(),
    )


def encode_batch(batch: EventBatch) -> str:
    """The batch as it is told and kept; RFC 8785."""
    return canonical_json(
        {
            "type": "usage.batch_flushed",
            "batchId": batch.batch_id,
            "flushedAt": batch.at,
            "sessionId": batch.session,
            "runId": batch.run,
            "parentRunId": batch.parent_run,
            "eventCount": batch.events,
            "inputTokens": batch.input_tokens,
            "outputTokens": batch.output_tokens,
            "totalTokens": batch.total_tokens,
            "toolCalls": batch.tool_calls,
            "costs": dict(batch.costs),
            "unpricedCount": batch.unpriced,
            "models": list(batch.models),
            "agents": [batch.agent],
            "batchHash": batch.hash,
        }
    )


def read_batch(text: str) -> EventBatch | None:
    """The batch that was told; None where the text is none."""
    try:
        said = json.loads(text)
        return EventBatch(
            said["batchId"],
            said["agents"][0],
            said["sessionId"],
            said["runId"],
            said["parentRunId"],
            said["flushedAt"],
            said["eventCount"],
            said["inputTokens"],
            said["outputTokens"],
            said["totalTokens"],
            said["toolCalls"],
            said["costs"],
            said["unpricedCount"],
            tuple(said["models"]),
            said["batchHash"],
        )
    except (ValueError, KeyError, IndexError, TypeError):
        return None
