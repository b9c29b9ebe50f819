"""Events that wait, in bounded memory and with room for everybody.

Nobody is told that an event did not fit except by a number, so one sender must not be able to take
the room of the others: a session holds at most a quarter of the queue, an agent at most a half,
however many sessions it makes up. And nobody waits for another one's backlog: sessions take turns,
event by event, each in its own order.

Room is held until an event is out of this process's hands (durable, or set aside), not until it was
taken from the queue: what is on its way and fails is still there.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from agentspec_usage.metering.usage_event import UsageEvent

__all__ = ["EventQueue", "QueueLimits"]

Key = TypeVar("Key")

_Session = tuple[str, str]
"""An agent and its own name for a session: the same name of two agents is two sessions."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many events are held: in all, of one agent, of one session of an agent."""

    events: int = 10_000
    of_agent: int = 5_000
    of_session: int = 2_500


class EventQueue:
    """First in, first out within a session; sessions take turns. Not thread-safe."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._waiting: OrderedDict[_Session, deque[UsageEvent]] = OrderedDict()
        self._by_session: Counter[_Session] = Counter()
        self._by_agent: Counter[str] = Counter()
        self._held = 0
        self._queued = 0

    @property
    def held(self) -> int:
        """Events that take room: those that wait, and those that were taken."""
        return self._held

    @property
    def waiting(self) -> int:
        """Events that nobody has taken yet."""
        return self._queued

    def held_of(self, agent_id: str) -> int:
        """Events of one agent that take room."""
        return self._by_agent[agent_id]

    def put(self, event: UsageEvent) -> bool:
        """Add the event; False where there is no room for it."""
        session = (event.agent_id, event.session)
        limits = self._limits
        if (
            self._held >= limits.events
            or self._by_agent[event.agent_id] >= limits.of_agent
            or self._by_session[session] >= limits.of_session
        ):
            return False
        self._waiting.setdefault(session, deque()).append(event)
        self._by_session[session] += 1
        self._by_agent[event.agent_id] += 1
        self._held += 1
        self._queued += 1
        return True

    def take(self, most: int) -> tuple[UsageEvent, ...]:
        """At most ``most`` events, one of each session in turn; they go on taking room."""
        taken: list[UsageEvent] = []
        while self._waiting and len(taken) < most:
            session, events = self._waiting.popitem(last=False)
            taken.append(events.popleft())
            if events:
                self._waiting[session] = events
        self._queued -= len(taken)
        return tuple(taken)

    def release(self, taken: Iterable[UsageEvent]) -> None:
        """Give the room of events back that were taken."""
        for event in taken:
            self._held -= 1
            _less(self._by_session, (event.agent_id, event.session))
            _less(self._by_agent, event.agent_id)


def _less(counter: Counter[Key], key: Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
