"""Picks a few members out of a JSON document of any size, in constant memory.

What is wanted of a response is a handful of small members (``usage``, ``id``, ``model``, in a
stream's last event ``response.usage``) and its size is somewhere else. The picker gives a document
with the wanted members alone, nested as they were, so that what maps a whole document maps a picked
one without knowing. An array on the way to a wanted member becomes the array of what was picked of
its elements. Of members that repeat, the last counts, as for ``json.loads``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.framing.gaps import Gap, GapReason
from agentspec_usage.extraction.framing.json_value import read_json
from agentspec_usage.extraction.framing.limits import ExtractionLimits
from agentspec_usage.extraction.framing.scanner import (
    ARRAY,
    COMMA,
    END_ARRAY,
    END_OBJECT,
    OBJECT,
    JsonScanner,
    Steps,
)

__all__ = ["JsonPicker", "Picked"]

_Tree: TypeAlias = dict[str, "_Tree"]
"""Wanted members by key; an empty tree stands for the whole value."""

_ELEMENTS = 4096
"""How many elements of an array are picked from."""


@dataclass(frozen=True, slots=True)
class Picked:
    """The wanted members of a document; ``gap`` where something of it could not be read."""

    document: dict[str, object] = field(default_factory=dict)
    gap: Gap | None = None


class JsonPicker:
    """Of one document. ``wanted`` are paths of keys joined by dots: ``id``, ``response.usage``.

    A document that is no object has no members, and what follows the document is not looked at.
    """

    __slots__ = (
        "_document",
        "_gap",
        "_limits",
        "_over",
        "_reading",
        "_room",
        "_scanner",
        "_wanted",
    )

    def __init__(self, wanted: Iterable[str], limits: ExtractionLimits | None = None) -> None:
        self._wanted = _tree(wanted)
        self._limits = limits or ExtractionLimits()
        self._room = self._limits.event_bytes
        self._document: dict[str, object] = {}
        self._gap: Gap | None = None
        self._scanner = JsonScanner()
        self._reading = self._root()
        self._over = False
        next(self._reading)

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        if self._over or not data:
            return
        self._scanner.give(data)
        try:
            next(self._reading)
        except StopIteration:
            self._over = True
        except WireError:
            self._over = True
            self._gap = Gap(GapReason.MALFORMED)

    def end(self) -> Picked:
        """What was picked. Of a document that was cut off: what came."""
        if not self._over:
            self._over = True
            self._gap = Gap(GapReason.TRUNCATED)
        return Picked(self._document, self._gap)

    def _root(self) -> Steps[None]:
        if (yield from self._scanner.peek()) == OBJECT:
            yield from self._members(self._wanted, self._document)
        else:
            yield from self._scanner.value()

    def _members(self, wanted: _Tree, found: dict[str, object]) -> Steps[None]:
        scanner = self._scanner
        yield from scanner.expect(OBJECT)
        if (yield from scanner.peek()) == END_OBJECT:
            scanner.position += 1
            return
        while True:
            key = yield from scanner.key()
            if key is None or key not in wanted:
                yield from scanner.value()
            else:
                found.pop(key, None)
                yield from self._member(key, wanted[key], found)
            if (yield from scanner.peek()) == END_OBJECT:
                scanner.position += 1
                return
            yield from scanner.expect(COMMA)

    def _member(self, key: str, below: _Tree, found: dict[str, object]) -> Steps[None]:
        if below:
            # Members are put where they belong at once: a document may be cut off behind them.
            first = yield from self._scanner.peek()
            if first == OBJECT:
                inner = found[key] = dict[str, object]()
                yield from self._members(below, inner)
            elif first == ARRAY:
                elements = found[key] = list[object]()
                yield from self._elements(below, elements)
            else:
                yield from self._scanner.value()
            return
        kept = _Kept(min(self._limits.value_bytes, self._room))
        yield from self._scanner.value(kept.add)
        if kept.overflow:
            self._gap = Gap(GapReason.OVERFLOW)
        else:
            self._room -= len(kept.data)
            found[key] = read_json(bytes(kept.data))

    def _elements(self, wanted: _Tree, elements: list[object]) -> Steps[None]:
        """An object for each that is one, and None for each that is not."""
        scanner = self._scanner
        yield from scanner.expect(ARRAY)
        if (yield from scanner.peek()) == END_ARRAY:
            scanner.position += 1
            return
        while True:
            first = yield from scanner.peek()
            if len(elements) == _ELEMENTS:
                self._gap = Gap(GapReason.OVERFLOW)
                yield from scanner.value()
            elif first == OBJECT:
                inner: dict[str, object] = {}
                elements.append(inner)
                yield from self._members(wanted, inner)
            else:
                elements.append(None)
                yield from scanner.value()
            if (yield from scanner.peek()) == END_ARRAY:
                scanner.position += 1
                return
            yield from scanner.expect(COMMA)


class _Kept:
    """At most ``limit`` bytes."""

    __slots__ = ("_limit", "data", "overflow")

    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self.overflow = False
        self._limit = limit

    def add(self, piece: bytes) -> None:
        if self.overflow:
            return
        self.data += piece
        if len(self.data) > self._limit:
            self.overflow = True
            self.data.clear()


def _tree(paths: Iterable[str]) -> _Tree:
    root: _Tree = {}
    for path in sorted(paths, key=lambda path: path.count("."), reverse=True):
        node = root
        *above, last = path.split(".")
        for key in above:
            node = node.setdefault(key, {})
        node[last] = {}  # A member that is wanted whole includes what is wanted within it.
    return root
