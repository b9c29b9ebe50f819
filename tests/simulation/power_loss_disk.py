"""What a disk may hold after the power was lost: the model, without a disk.

Files are written in events, of which only those before a sync are certain. After a loss each sector
that was written since is there, or is not, or holds something else, and in no order; a file may
have its new size without what was written there; a new file's name may be gone, and a deleted
file may be back, but names change in the order in which they were changed (every file system that
a database is put on journals its directories).

What is not modelled: a disk that says it has synced and has not, and a sector that is damaged
though nobody wrote to it (SQLite's ``powersafe overwrite``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random

__all__ = [
    "SECTOR",
    "Created",
    "Deleted",
    "Disk",
    "Event",
    "Fate",
    "Outcome",
    "Synced",
    "Truncated",
    "Written",
    "fates",
]

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Created:
    name: str


@dataclass(frozen=True, slots=True)
class Written:
    name: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncated:
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """The file is on the disk; with ``directory`` its name too, and every name before it."""

    name: str
    directory: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    name: str
    synced: bool


Event = Created | Written | Truncated | Synced | Deleted


class Outcome(Enum):
    KEPT = auto()
    LOST = auto()
    GARBLED = auto()


Fate = Callable[[str], Outcome]
"""What becomes of the next change of the file of this name that was not synced."""


@dataclass(slots=True)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Written | Truncated] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()

    def after(self, name: str, fate: Fate) -> bytes:
        content = bytearray(self.durable)
        for change in self.pending:
            if isinstance(change, Truncated):
                if fate(name) is Outcome.KEPT:
                    _apply(content, change)
                continue
            for sector in _sectors(change):
                _lose(content, sector, fate)
        return bytes(content)


class Disk:
    """A disk on which ``happened`` happened, one event after another."""

    def __init__(self) -> None:
        self._now: dict[str, _File] = {}
        self._durable: dict[str, _File] = {}
        self._changes: list[tuple[str, _File | None]] = []

    def happened(self, event: Event) -> None:
        match event:
            case Created(name):
                self._change(name, _File())
            case Deleted(name, synced):
                self._change(name, None)
                if synced:
                    self._sync_names()
            case Synced(name, directory):
                self._now[name].sync()
                if directory:
                    self._sync_names()
            case Written(name) | Truncated(name):
                self._now[name].pending.append(event)

    def after_power_loss(self, fate: Fate) -> Mapping[str, bytes]:
        """The files that are there, and what is in them."""
        names = dict(self._durable)
        for name, file in self._changes:
            if fate(name) is not Outcome.KEPT:
                break
            _rename(names, name, file)
        return {name: file.after(name, fate) for name, file in names.items()}

    def _change(self, name: str, file: _File | None) -> None:
        _rename(self._now, name, file)
        self._changes.append((name, file))

    def _sync_names(self) -> None:
        self._durable = dict(self._now)
        self._changes.clear()


def fates(random: Random, log: str) -> Sequence[tuple[str, Fate]]:
    """Everything that may become of a disk, by name. ``log`` is how the WAL's name ends."""

    def some(kept: float, garbled: float = 0.0) -> Fate:
        def fate(_: str) -> Outcome:
            drawn = random.random()
            if drawn < kept:
                return Outcome.KEPT
            return Outcome.GARBLED if drawn < kept + garbled else Outcome.LOST

        return fate

    def in_order(number: int) -> Fate:
        left = iter(range(number))
        return lambda _: Outcome.LOST if next(left, None) is None else Outcome.KEPT

    def where(kept: Callable[[str], bool]) -> Fate:
        return lambda name: Outcome.KEPT if kept(name) else Outcome.LOST

    return (
        ("nothing", where(lambda _: False)),
        ("everything", where(lambda _: True)),
        ("the log alone", where(lambda name: name.endswith(log))),
        ("all but the log", where(lambda name: not name.endswith(log))),
        ("the first", in_order(random.randrange(40))),
        ("few", some(0.1)),
        ("half", some(0.5)),
        ("most", some(0.95)),
        ("half, some garbled", some(0.5, 0.2)),
        ("most, the rest garbled", some(0.9, 0.1)),
    )


def _rename(names: dict[str, _File], name: str, file: _File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def _apply(content: bytearray, change: Written | Truncated) -> None:
    if isinstance(change, Truncated):
        del content[change.size :]
        return
    _grow(content, change.offset)
    content[change.offset : change.offset + len(change.data)] = change.data


def _lose(content: bytearray, sector: Written, fate: Fate) -> None:
    outcome = fate(sector.name)
    if outcome is Outcome.KEPT:
        _apply(content, sector)
    elif outcome is Outcome.GARBLED:
        other = bytes(byte ^ 0xA5 for byte in sector.data)
        _apply(content, Written(sector.name, sector.offset, other))
    elif sector.offset + len(sector.data) > len(content) and fate(sector.name) is Outcome.KEPT:
        _grow(content, sector.offset + len(sector.data))


def _grow(content: bytearray, size: int) -> None:
    content.extend(bytes(max(size - len(content), 0)))


def _sectors(write: Written) -> Iterator[Written]:
    """The write, cut where sectors end."""
    start = write.offset
    end = start + len(write.data)
    while start < end:
        cut = min((start // SECTOR + 1) * SECTOR, end)
        yield Written(write.name, start, write.data[start - write.offset : cut - write.offset])
        start = cut
