"""A session's events as a chain: each link names the one before it by its hash.

    {version, seq, timestamp, runId, sessionId, parentRunId?, event, _prevHash, _hash}

``_hash`` is the SHA-256 over the RFC 8785 form of all the rest. A link is kept as a text, the RFC
8785 form of the whole, in which ``_hash`` comes first: what was hashed is what follows it, as it
stands there, and nothing is put together again to be checked. ``event`` names the item that it was
charged as, which ties the chain to the journal.

A session is one of an agent: the same name at two agents is two chains.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from agentspec_usage.metering.usage_event import UsageEvent
from agentspec_usage.runtime.clock import to_rfc3339

__all__ = ["GENESIS", "Link", "canonical_json", "link_of", "read_link"]

VERSION = 1

GENESIS = "0" * 64
"""What the first link of a session names as the one before it."""

_HEAD = '{"_hash":"'
_REST = len(_HEAD) + 64

_NUMBERS = (
    *("item", "inputTokens", "outputTokens", "totalTokens", "cacheReadTokens"),
    *("cacheWriteTokens", "reasoningTokens", "toolCalls"),
)

_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True, check_circular=False
).encode


def canonical_json(document: Mapping[str, object]) -> str:
    """RFC 8785, for objects with ASCII keys, lists, strings, whole numbers up to 2^53 and null."""
    return _encode(document)


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it is stored. ``said`` is its document, the hashes among it."""

    text: str
    said: Mapping[str, Any]

    @property
    def seq(self) -> int:
        return int(self.said["seq"])

    @property
    def hash(self) -> str:
        return str(self.said["_hash"])

    @property
    def event(self) -> Mapping[str, Any]:
        """What was counted."""
        found: Mapping[str, Any] = self.said["event"]
        return found


def link_of(event: UsageEvent, seq: int, previous: str, batch_id: str, item: int) -> Link:
    """The link ``seq`` of the event's session, after the one whose hash is ``previous``."""
    counts = event.counts
    said: dict[str, object] = {
        "version": VERSION,
        "seq": seq,
        "timestamp": to_rfc3339(event.at),
        "runId": event.run,
        "sessionId": event.session,
        "event": {
            "type": "usage",
            "batchId": batch_id,
            "eventId": event.event_id,
            "item": item,
            "provider": event.provider,
            "model": event.model,
            "inputTokens": counts.input,
            "outputTokens": counts.output,
            "totalTokens": event.total,
            "cacheReadTokens": counts.cache_read,
            "cacheWriteTokens": counts.cache_write,
            "reasoningTokens": counts.reasoning,
            "toolCalls": event.tool_calls,
        },
        "_prevHash": previous,
    }
    if event.parent_run:
        said["parentRunId"] = event.parent_run
    rest = canonical_json(said)
    hashed = _hash(rest)
    return Link(f'{_HEAD}{hashed}",{rest[1:]}', {**said, "_hash": hashed})


def read_link(text: str) -> Link | None:
    """The link that ``text`` is; None where it is none, or not the one that was hashed."""
    hashed, rest = text[len(_HEAD) : _REST], "{" + text[_REST + 2 :]
    try:
        if not text.startswith(f'{_HEAD}{hashed}",') or _hash(rest) != hashed:
            return None
        said = json.loads(text)
        return Link(text, said) if _shaped(said) else None
    except (ValueError, KeyError, RecursionError):
        return None


def _shaped(said: Mapping[str, Any]) -> bool:
    """Whether everything that is read of a link is what it should be: a hash proves no shape."""
    event = said["event"]
    return (
        all(type(said[name]) is str for name in ("runId", "sessionId", "_prevHash"))
        and type(said.get("parentRunId", "")) is str
        and type(said["seq"]) is int
        and type(event) is dict
        and all(type(event[name]) is str for name in ("batchId", "provider", "model"))
        and all(type(event[name]) is int for name in _NUMBERS)
    )


def _hash(rest: str) -> str:
    return sha256(rest.encode()).hexdigest()
