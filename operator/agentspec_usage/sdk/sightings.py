"""A call that several surfaces see counts once: the innermost surface counts it.

A model call inside a LangGraph node may be seen three times: by the wrapped provider client, by the
LangChain handler around it, and in the message that the node returns. The inner one always finishes
first and knows most, so it counts, and an outer one that recognises the call counts nothing.

Two ways to recognise it, in this order:

* **by response id**: the provider's own, on any thread. One to one: each inner sighting answers one
  outer sighting of each surface, so a server whose ids repeat loses no call.
* **by scope**: what was counted inside the block that the outer surface opened. Where the message
  carries no id (a node that builds it by hand, a streamed one), a call in the same block with the
  same input and output tokens is the same call, else one of the same model: LangChain's
  integrations add up what a stream repeats, and so tell other counts. Each counted call is matched
  at most once.

Outside one block neither proves anything, and matches nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum
from threading import Lock

from agentspec_usage.metering.record import CallStatus, UsageRecord

__all__ = ["Scope", "Sightings", "Surface", "current_scope", "entered", "scope"]

_MAX_REMEMBERED = 4096
"""Counted calls whose ids are remembered: the outer surfaces follow within the same step."""


class Surface(IntEnum):
    """Where a call is seen, the innermost first."""

    CLIENT = 0
    HANDLER = 1
    NODE = 2


@dataclass(slots=True)
class Scope:
    """What was counted inside one block, by this block and those inside it."""

    outer: Scope | None = None
    counted: list[UsageRecord] = field(default_factory=list)

    def add(self, record: UsageRecord) -> None:
        """A call was counted in this block."""
        block: Scope | None = self
        while block is not None:
            block.counted.append(record)
            block = block.outer

    def claim(self, seen: UsageRecord) -> bool:
        """Whether ``seen`` is a call that was counted here and is not yet claimed."""
        for same in (_same_counts, _same_model):
            for position, known in enumerate(self.counted):
                if same(known, seen):
                    del self.counted[position]
                    return True
        return False


def _same_counts(known: UsageRecord, seen: UsageRecord) -> bool:
    """A call of which no counts are known may be any."""
    if seen.status is CallStatus.UNMETERED:
        return True
    a, b = known.counts, seen.counts
    return (a.input, a.output) == (b.input, b.output)


def _same_model(known: UsageRecord, seen: UsageRecord) -> bool:
    model = seen.key.model
    return model != "" and model in {known.key.model, known.request_model}


_SCOPE: ContextVar[Scope | None] = ContextVar("agentspec_usage_scope", default=None)


def current_scope() -> Scope | None:
    """The innermost open block of this flow of the program."""
    return _SCOPE.get()


def entered(block: Scope | None) -> Scope | None:
    """Make ``block`` the current one; the one before it. For callers that have no ``with``."""
    before = _SCOPE.get()
    _SCOPE.set(block)
    return before


@contextmanager
def scope() -> Iterator[Scope]:
    """A block in which calls are counted."""
    block = Scope(_SCOPE.get())
    token = _SCOPE.set(block)
    try:
        yield block
    finally:
        _SCOPE.reset(token)


class Sightings:
    """The response ids of calls that were counted, and which surfaces have seen each. Bounded."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: OrderedDict[str, set[Surface]] = OrderedDict()

    def counted(self, surface: Surface, response_id: str) -> None:
        """``surface`` counted the call that answered with this id."""
        if not response_id:
            return
        with self._lock:
            self._seen.pop(response_id, None)
            self._seen[response_id] = {surface}
            if len(self._seen) > _MAX_REMEMBERED:
                self._seen.popitem(last=False)

    def recognised(self, surface: Surface, response_id: str) -> bool:
        """Whether a surface further in counted the call, and ``surface`` sees it the first time."""
        with self._lock:
            seen = self._seen.get(response_id)
            if seen is None or surface in seen or min(seen) > surface:
                return False
            seen.add(surface)
            return True
