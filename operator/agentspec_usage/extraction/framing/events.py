"""What every framing tells of the bytes that it is fed.

All framings look alike, so that which one reads a response is a row in a table: ``feed`` bytes as
they come, in pieces of any size, and get the items that they complete; ``end`` gives what the end
completes. They never raise for what the bytes are, hold a bounded amount of them, and tell the same
items in the same order however the bytes were cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from agentspec_usage.extraction.framing.gaps import Gap
from agentspec_usage.extraction.framing.picker import Picked

__all__ = ["Event", "Framing", "Item", "PickedEvent"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event, line, array element or message. ``name`` where the framing names its events."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class PickedEvent:
    """An event too large to be kept: what was wanted of its document."""

    name: str
    picked: Picked


Item: TypeAlias = Event | PickedEvent | Gap


class Framing(Protocol):
    """A response's bytes to items."""

    def feed(self, data: bytes) -> Iterable[Item]:
        """The next bytes, and the items that are complete with them."""

    def end(self) -> Iterable[Item]:
        """The last items: nothing more comes. To be called once."""
