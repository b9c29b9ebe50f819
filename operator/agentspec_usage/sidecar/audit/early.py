"""Events that came before their request: kept for a while, and joined when it arrives.

Bounded by number and by age (ms on a steady clock). What is given up here is detail of the audit;
the tokens of model events were counted when they came.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from agentspec_usage.sidecar.audit.entry import NO_BEHAVIOR, Behavior
from agentspec_usage.sidecar.audit.ring import DEFAULT_RING_SIZE, MAX_DETAILS, MAX_DETAILS_OF_ONE

__all__ = ["EARLY_MS", "EarlyEvents"]

EARLY_MS = 15 * 60 * 1000
"""Longer than any request that is still to come is told of ahead."""


class _Kept(NamedTuple):
    since: int
    agent_name: str
    behavior: Behavior


class EarlyEvents:
    """By request id, those that waited longest first."""

    def __init__(
        self, max_requests: int = DEFAULT_RING_SIZE, max_details: int = MAX_DETAILS
    ) -> None:
        self._max_requests = max_requests
        self._max_details = max_details
        self._details = 0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self.given_up = 0
        """Requests whose events were forgotten before they arrived."""

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, request_id: str, behavior: Behavior, agent_name: str, now: int) -> None:
        """Keep it, with what came earlier."""
        since, named, known = self._kept.get(request_id, _Kept(now, "", NO_BEHAVIOR))
        joined = known.joined(behavior, MAX_DETAILS_OF_ONE)
        # A key that is there keeps its place: the age is that of its first events.
        self._kept[request_id] = _Kept(since, agent_name or named, joined)
        self._details += joined.size - known.size
        while self._kept and self._is_too_much(now):
            _, forgotten = self._kept.popitem(last=False)
            self._details -= forgotten.behavior.size
            self.given_up += 1

    def take(self, request_id: str, now: int) -> tuple[Behavior, str]:
        """What was told of a request that arrives now, and the agent's name."""
        kept = self._kept.pop(request_id, None)
        if kept is None:
            return NO_BEHAVIOR, ""
        self._details -= kept.behavior.size
        if now - kept.since > EARLY_MS:
            self.given_up += 1
            return NO_BEHAVIOR, ""
        return kept.behavior, kept.agent_name

    def _is_too_much(self, now: int) -> bool:
        oldest = next(iter(self._kept.values()))
        return (
            now - oldest.since > EARLY_MS
            or len(self._kept) > self._max_requests
            or self._details > self._max_details
        )
