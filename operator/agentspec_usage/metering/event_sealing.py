"""Events as frames: the instance that a buffer of events is to the store.

What is written may have been written although its answer was lost, so a portion of events must not
count twice when it is tried again. Frames have that law already: the buffer is, for each agent, an
instance of its own, and its portions are that instance's stretches of calls. The same portion gives
the same frames until they are durable, and the store takes what begins where it stands.

A store that went back in time stands elsewhere. Senders of events keep nothing that could fill the
gap, so the agent goes on as a new instance: what the store still has stays counted once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.metering.usage_event import UsageEvent

__all__ = ["EventFrame", "EventSealing"]

MAX_AGENTS = 16_384
"""Agents whose instance is remembered. One that is forgotten goes on as a new instance."""


@dataclass(frozen=True, slots=True)
class EventFrame:
    """One agent's events of a portion; each is the frame's item at the same place."""

    agent_id: str
    frame: Frame
    events: tuple[UsageEvent, ...]


@dataclass(frozen=True, slots=True)
class _Instance:
    instance_id: str
    seq: int = 0
    totals: TokenCounts = ZERO


class EventSealing:
    """The instances of one buffer's life. ``new_instance`` draws an id."""

    def __init__(self, new_instance: Callable[[], str]) -> None:
        self._new_instance = new_instance
        self._instances: OrderedDict[str, _Instance] = OrderedDict()

    def frames(self, portion: Iterable[UsageEvent]) -> tuple[EventFrame, ...]:
        """The portion as a frame an agent; the same frames until they are ``durable``."""
        by_agent: dict[str, list[UsageEvent]] = {}
        for event in portion:
            by_agent.setdefault(event.agent_id, []).append(event)
        return tuple(self._frame(agent_id, events) for agent_id, events in by_agent.items())

    def durable(self, frames: Iterable[EventFrame]) -> None:
        """The frames are stored: the next events of their agents follow them."""
        for one in frames:
            frame = one.frame
            self._instances[one.agent_id] = _Instance(frame.instance_id, frame.last, frame.totals)

    def rewound(self, agent_ids: Iterable[str]) -> None:
        """The store stands elsewhere: these agents go on as new instances."""
        for agent_id in agent_ids:
            self._instances.pop(agent_id, None)

    def _frame(self, agent_id: str, events: Sequence[UsageEvent]) -> EventFrame:
        instance = self._instances.pop(agent_id, None) or _Instance(self._new_instance())
        self._instances[agent_id] = instance
        if len(self._instances) > MAX_AGENTS:
            self._instances.popitem(last=False)
        since = instance.seq
        items = tuple(event.record(seq) for seq, event in enumerate(events, since + 1))
        totals = instance.totals
        for item in items:
            totals += item.counts
        frame = Frame(
            *(instance.instance_id, Observer.EVENTS, since, since + len(items), totals),
            items,
        )
        return EventFrame(agent_id, frame, tuple(events))
