"""Which dirty object is next: by priority, then by who has been dirty longest, none before its
time.

Two heaps: what must wait, by time, and what may go, by place. Moving an entry leaves its old place
behind as a void one, which costs less than finding it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from agentspec_usage.kube.status_write import PreparedWrite, Priority, WriteResult

__all__ = ["Done", "Entry", "Render", "WriteQueue"]

Render = Callable[[], PreparedWrite | None]
Done = Callable[[WriteResult], None]


class Entry:
    """One object. Times are monotonic seconds.

    ``turn`` counts the objects that became dirty: the lower, the longer ago. ``ticket`` names the
    one valid place in the queue, 0 none.
    """

    __slots__ = (
        "conflicts",
        "dirty",
        "dirty_at",
        "done",
        "failures",
        "forgotten",
        "in_flight",
        "not_before",
        "priority",
        "refusals",
        "render",
        "ticket",
        "turn",
        "uid",
        "written_at",
    )

    def __init__(self, uid: str, render: Render, done: Done) -> None:
        self.uid = uid
        self.render = render
        self.done = done
        self.priority = Priority.TOKENS
        self.dirty = False
        self.dirty_at = 0.0
        self.turn = 0
        self.in_flight = False
        self.forgotten = False
        self.written_at: float | None = None
        self.not_before = 0.0
        self.conflicts = 0
        self.refusals = 0
        self.failures = 0
        self.ticket = 0


class WriteQueue:
    """The dirty objects that are not under way."""

    __slots__ = ("_later", "_ready", "_tickets")

    def __init__(self) -> None:
        self._tickets = 0
        # An item whose ticket is not its entry's is void.
        self._later: list[tuple[float, int, Entry]] = []
        self._ready: list[tuple[Priority, int, int, Entry]] = []

    def put(self, entry: Entry, due: float) -> None:
        """Gives ``entry`` the place of its priority and age from ``due`` on, and no other."""
        self._tickets += 1
        entry.ticket = self._tickets
        heapq.heappush(self._later, (due, entry.ticket, entry))

    def next(self, now: float) -> Entry | None:
        """The entry that may go first at ``now``; it stays where it is."""
        while self._later and self._later[0][0] <= now:
            _, ticket, entry = heapq.heappop(self._later)
            if ticket == entry.ticket:
                place = (entry.priority, entry.turn, ticket, entry)
                heapq.heappush(self._ready, place)
        while self._ready and self._ready[0][2] != self._ready[0][3].ticket:
            heapq.heappop(self._ready)
        return self._ready[0][3] if self._ready else None

    def remove(self, entry: Entry) -> None:
        """Takes ``entry`` out."""
        entry.ticket = 0

    def wait(self, now: float) -> float | None:
        """Seconds until something more may go, None when nothing waits."""
        while self._later and self._later[0][1] != self._later[0][2].ticket:
            heapq.heappop(self._later)
        return max(0.0, self._later[0][0] - now) if self._later else None
