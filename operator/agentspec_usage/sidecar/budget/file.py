"""The file that keeps what was spent across restarts.

Two slots of fixed size are written in turn, each with a number and a checksum: a process that is
killed within a write leaves the other slot, which is one call older. One ``pwrite`` without a sync
costs a few microseconds, so it is done at each call; it outlives the process, and what a crash of
the node loses (seconds) is small against a day. The room is taken when the file is opened, so that
a disk which fills up later refuses nothing here.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from pathlib import Path

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.sidecar.budget.limits import Threshold
from agentspec_usage.sidecar.budget.spending import Spending, Spent
from agentspec_usage.wire import strict_json

__all__ = ["SLOT_BYTES", "SpendingFile"]

SLOT_BYTES = 2048
"""More than ``MAX_WINDOWS`` windows take with the largest numbers."""

_VERSION = 1


class SpendingFile:
    """``fault`` says why nothing is kept, "" while all is well. Nothing raises: a budget that
    cannot be written down still holds until the process ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0
        self._file: int | None = None
        self.fault = ""

    def open(self) -> Spending:
        """Take the file, and read what it has; nothing spent where it has nothing whole."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            content = os.pread(self._file, 2 * SLOT_BYTES, 0)
            if len(content) < 2 * SLOT_BYTES:
                blank = bytes(2 * SLOT_BYTES - len(content))
                if os.pwrite(self._file, blank, len(content)) < len(blank):
                    self.fault = "no room for the budget's file"
        except OSError as error:
            self._fail(error)
            content = b""
        found = [
            slot
            for position in (0, SLOT_BYTES)
            if (slot := _decode(content[position : position + SLOT_BYTES])) is not None
        ]
        self._number, spending = max(found, key=lambda slot: slot[0], default=(0, Spending()))
        return spending

    def write(self, spending: Spending) -> None:
        """Keep ``spending``."""
        if self._file is None:
            return
        self._number += 1
        slot = _encode(self._number, spending)
        try:
            written = os.pwrite(self._file, slot, self._number % 2 * SLOT_BYTES)
        except OSError as error:
            self._fail(error)
        else:
            self.fault = "" if written == len(slot) else "no room for the budget's file"

    def close(self) -> None:
        """To the disk, and let go."""
        if self._file is None:
            return
        try:
            os.fsync(self._file)
        except OSError as error:
            self._fail(error)
        with contextlib.suppress(OSError):
            os.close(self._file)
        self._file = None

    def _fail(self, error: OSError) -> None:
        self.fault = error.strerror or "the budget's file cannot be used"


def _encode(number: int, spending: Spending) -> bytes:
    document = {
        "v": _VERSION,
        "n": number,
        "windows": [
            [start, spent.tokens, spent.requests, sorted(spent.announced)]
            for start, spent in spending.windows.items()
        ],
    }
    body = json.dumps(document, separators=(",", ":")).encode("ascii")
    return (b"%08x %b\n" % (zlib.crc32(body), body)).ljust(SLOT_BYTES, b"\0")


def _decode(slot: bytes) -> tuple[int, Spending] | None:
    """The slot's number and what it says; None where it is not whole, or another version's."""
    line, end, _ = slot.partition(b"\n")
    checksum, _, body = line.partition(b" ")
    if not end or checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        match strict_json.loads(body):
            case {"v": 1, "n": int(number), "windows": list(windows)}:
                return number, Spending(dict(map(_window, windows)))
    except (WireError, ValueError):
        pass
    return None


def _window(document: object) -> tuple[int, Spent]:
    match document:
        case [int(start), int(tokens), int(requests), list(announced)]:
            if 0 <= tokens <= MAX_COUNT and 0 <= requests <= MAX_COUNT:
                return start, Spent(tokens, requests, frozenset(map(Threshold, announced)))
    raise ValueError("a window of another form")
