"""Several workers behind one port: each keeps its counts in one directory; any answers for all.

Which worker a request reaches is chance, and readers that meet them in turn see a part each time.
With a directory that they share, every worker lists every instance: the living ones as they are
now, and those that ended with ``final``, because what they counted was used all the same.

Whether a worker lives is not asked of its pid (pids are reused, and differ between namespaces): a
worker holds a lock on its file, and the kernel drops that lock when the process ends, however it
ends.

At most 64 instances are listed; past that the dead ones that were quiet longest leave, with their
files.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.sdk.shared_counts import SharedCounts, read_file

__all__ = ["MAX_INSTANCES", "WorkerDirectory"]

MAX_INSTANCES = 64

_SUFFIX = ".counts"


class WorkerDirectory:
    """This worker's file among the others'. A sink of the ledger, under whose lock it writes.

    The file is made at the first call: a server's parent process, which calls no model, is no
    worker. Where it cannot be made (no room, no permission) this worker goes on alone.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._begun: UsageSnapshot | None = None
        self._counts: SharedCounts | None = None
        self._descriptor = -1

    def begin(self, snapshot: UsageSnapshot) -> None:
        """A new instance begins. What a forked child has of its parent's file it lets go."""
        if self._counts is not None:
            self._counts.close()
            self._counts = None
        if self._descriptor >= 0:
            # Closed, not unlocked: the lock is the parent's as long as the parent has it open.
            os.close(self._descriptor)
            self._descriptor = -1
        self._begun = snapshot

    def append(self, record: UsageRecord) -> None:
        """A call was counted."""
        if self._opened(record.at):
            assert self._counts is not None
            self._counts.count(record.key, record.counts, record.seq, record.at)

    def invalid(self, calls: int, at: int) -> None:
        """So many calls were refused so far."""
        if self._opened(at):
            assert self._counts is not None
            self._counts.invalid(calls, at)

    def with_others(self, own: UsageSnapshot) -> list[UsageSnapshot]:
        """``own`` and every other worker's snapshot, the living and the dead, by their start."""
        living: list[UsageSnapshot] = []
        dead: list[UsageSnapshot] = []
        for path in self._directory.glob(f"*{_SUFFIX}"):
            if path.stem != own.instance_id:
                # A worker may tidy away a file that another is about to read.
                with suppress(FileNotFoundError):
                    _read_into(path, living, dead)
        dead.sort(key=lambda snapshot: snapshot.observed_at or 0, reverse=True)
        room = max(MAX_INSTANCES - 1 - len(living), 0)
        for snapshot in dead[room:]:
            (self._directory / f"{snapshot.instance_id}{_SUFFIX}").unlink(missing_ok=True)
        others = [*living, *dead[:room]][: MAX_INSTANCES - 1]
        return sorted([own, *others], key=lambda snapshot: snapshot.window_started_at or 0)

    def _opened(self, at: int) -> bool:
        begun = self._begun
        if begun is not None:
            # Once: a directory that cannot be written is not tried again at every call.
            self._begun = None
            self._make_file(begun)
        return self._counts is not None

    def _make_file(self, begun: UsageSnapshot) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Under another name until it is whole and locked, so that nobody takes it for a dead one's.
        new = self._directory / f".{begun.instance_id}.new"
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._counts = SharedCounts(descriptor, begun)
            new.rename(self._directory / f"{begun.instance_id}{_SUFFIX}")
            self._descriptor = descriptor
        except OSError:
            self._counts = None
            os.close(descriptor)
            new.unlink(missing_ok=True)
            raise


def _read_into(path: Path, living: list[UsageSnapshot], dead: list[UsageSnapshot]) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            # Asked before the reading: what is read of a dead one is its last word.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            lives = False
        except BlockingIOError:
            lives = True
        snapshot = read_file(path, descriptor, lives=lives)
    finally:
        os.close(descriptor)
    if snapshot is None:
        return
    if lives:
        living.append(snapshot)
    else:
        dead.append(replace(snapshot, final=True))
