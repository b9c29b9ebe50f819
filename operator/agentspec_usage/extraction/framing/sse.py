"""Server-sent events (WHATWG HTML, 9.2), as providers write them.

Lines end in LF, CR or CRLF, also mixed; a byte order mark may come first. One departure: what
stands at the end without its blank line is an event too, because providers end streams so and a
usage is often last.

A stream is cut into events by ``bytes`` methods on as much as has come: line ends are made LF, then
blank lines separate the blocks.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentspec_usage.extraction.framing.events import Item
from agentspec_usage.extraction.framing.limits import ExtractionLimits
from agentspec_usage.extraction.framing.line_ends import LineEnds
from agentspec_usage.extraction.framing.sse_event import PassingEvent, event_of

__all__ = ["SseFraming"]

_MARK = b"\xef\xbb\xbf"


class SseFraming:
    """A stream to its events; those without data are none."""

    def __init__(self, wanted: Iterable[str] = (), limits: ExtractionLimits | None = None) -> None:
        self._wanted = frozenset(wanted)
        self._limits = limits or ExtractionLimits()
        self._line_ends = LineEnds()
        self._begun = False
        self._pending = bytearray()
        self._passing: PassingEvent | None = None

    def feed(self, data: bytes) -> list[Item]:
        items: list[Item] = []
        pending = self._pending
        new_from = max(0, len(pending) - 1)
        pending += self._line_ends.made_lf(data)
        if not self._begun:
            new_from = 0
            if not self._begin():
                return items
        if self._passing is not None:
            new_from = 0
            if not self._pass_on(self._passing, items):
                return items
        cut = pending.rfind(b"\n\n", new_from)
        if cut >= 0:
            blocks = bytes(pending[:cut])
            del pending[: cut + 2]
            for block in blocks.split(b"\n\n"):
                self._block(block, items)
        if len(pending) > self._limits.event_bytes + 2:
            self._passing = PassingEvent(self._wanted, self._limits)
            self._pass_on(self._passing, items)
        return items

    def end(self) -> list[Item]:
        items: list[Item] = []
        if self._passing is not None:
            items += _some(self._passing.end())
        else:
            self._block(bytes(self._pending), items)
        return items

    def _begin(self) -> bool:
        """Leave the byte order mark out. False: it is not yet known whether there is one."""
        if len(self._pending) < len(_MARK) and _MARK.startswith(self._pending):
            return False
        self._begun = True
        if self._pending.startswith(_MARK):
            del self._pending[: len(_MARK)]
        return True

    def _block(self, block: bytes, items: list[Item]) -> None:
        block = block.strip(b"\n")
        if len(block) > self._limits.event_bytes:
            passing = PassingEvent(self._wanted, self._limits)
            passing.feed(block)
            items += _some(passing.end())
        elif block:
            items += _some(event_of(block))

    def _pass_on(self, passing: PassingEvent, items: list[Item]) -> bool:
        """Give what is pending to the large event. True: it ended, and something may follow."""
        cut = self._pending.find(b"\n\n")
        if cut >= 0:
            passing.feed(bytes(self._pending[:cut]))
            del self._pending[: cut + 2]
            self._passing = None
            items += _some(passing.end())
            return True
        # The last LF stays: with the next one it would end the event.
        keep = 1 if self._pending.endswith(b"\n") else 0
        passing.feed(bytes(self._pending[: len(self._pending) - keep]))
        del self._pending[: len(self._pending) - keep]
        return False


def _some(item: Item | None) -> list[Item]:
    return [] if item is None else [item]
