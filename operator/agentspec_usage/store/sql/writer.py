"""The one thread that writes: it takes everything that waits into one transaction.

A commit costs a flush to the disk, however much is in it. While one commit is under way the next
jobs gather, so the number of transactions follows the disk and their size follows the load. What
waits is bounded; beyond it nothing is taken, and whoever sends still has what it sent.

A job's result is handed out after the COMMIT and never before: an answer made of it is durable. A
job that fails is undone alone, by its savepoint; a transaction that fails (a full disk, a lock
that lasts) is undone whole, and every job of it fails.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any, TypeVar

from agentspec_usage.store.errors import StoreBusyError, StoreUnavailableError
from agentspec_usage.store.sql.connection import Connection, Database

__all__ = ["Writer", "WriterLimits", "WriterStats"]

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

Work = Callable[[Connection], Result]
"""What a job does inside the transaction."""


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """How much may wait, and how much goes into one transaction. ``weight`` is about bytes."""

    waiting_jobs: int = 4096
    waiting_weight: int = 32 * 1024 * 1024
    group_jobs: int = 512
    group_weight: int = 8 * 1024 * 1024


@dataclass(slots=True)
class WriterStats:
    """Counted by the writer's thread, read by anybody."""

    commits: int = 0
    failed_commits: int = 0
    jobs: int = 0
    failing: str = ""
    """Why the newest transaction failed; "" when it did not."""


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work[Any]
    weight: int
    result: Future[Any]


class Writer:
    """Runs jobs from ``start`` to ``stop``, on a connection that its thread opens."""

    def __init__(
        self,
        database: Database,
        limits: WriterLimits | None = None,
        on_rollback: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._limits = limits or WriterLimits()
        self._on_rollback = on_rollback
        self._waiting: deque[_Job] = deque()
        self._under_way: Sequence[_Job] = ()
        self._weight = 0
        self._stopping = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="store-writer", daemon=True)
        self.stats = WriterStats()

    @property
    def waiting(self) -> int:
        """Jobs that wait for a transaction."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def submit(self, work: Work[Result], weight: int = 1024) -> Future[Result]:
        """The result of ``work`` once it is committed. Raises ``StoreBusyError`` when full."""
        future: Future[Result] = Future()
        with self._changed:
            if self._stopping:
                raise StoreBusyError("the usage store is being closed")
            limits = self._limits
            heavy = bool(self._waiting) and self._weight + weight > limits.waiting_weight
            if heavy or len(self._waiting) >= limits.waiting_jobs:
                raise StoreBusyError(
                    f"{len(self._waiting)} writes wait already: nothing more is taken for now"
                )
            self._waiting.append(_Job(work, weight, future))
            self._weight += weight
            self._changed.notify()
        return future

    def stop(self) -> None:
        """Take no more, write everything that waits, and close the database."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        errors = self._database.errors
        try:
            connection = self._database.writer()
            try:
                while group := self._next_group():
                    self._under_way = group
                    if self._write(connection, group):
                        continue
                    # A connection that could not even roll back is in no known state.
                    connection.close()
                    connection = self._database.writer()
                with suppress(*errors):
                    self._database.closing(connection)
            finally:
                connection.close()
        except errors:
            logger.exception("the database cannot be opened again: nothing more is written")
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """However the thread ends, nobody waits for it any longer."""
        with self._changed:
            self._stopping = True
            for job in (*self._under_way, *self._waiting):
                # A job that was cancelled while it waited has its end already.
                if not job.result.done():
                    job.result.set_exception(StoreUnavailableError("closed"))
            self._waiting.clear()

    def _next_group(self) -> list[_Job]:
        """What waits, up to the bounds of one transaction; empty when it is time to end."""
        with self._changed:
            group: list[_Job] = []
            while not group:
                while not self._waiting and not self._stopping:
                    self._changed.wait()
                if not self._waiting:
                    break
                self._fill(group)
            return group

    def _fill(self, group: list[_Job]) -> None:
        weight = 0
        while self._waiting and len(group) < self._limits.group_jobs:
            if group and weight + self._waiting[0].weight > self._limits.group_weight:
                break
            job = self._waiting.popleft()
            self._weight -= job.weight
            # False: whoever asked has gone away before anything was done.
            if job.result.set_running_or_notify_cancel():
                weight += job.weight
                group.append(job)

    def _write(self, connection: Connection, group: list[_Job]) -> bool:
        """One transaction. Whether the connection can go on."""
        results: list[tuple[Future[Any], Any]] = []
        failures: list[tuple[Future[Any], Exception]] = []
        try:
            self._database.begin_writing(connection)
            alone = len(group) == 1
            for job in group:
                self._do(connection, job, results, failures, alone=alone)
            if not (alone and failures):
                connection.execute("COMMIT")
        except self._database.errors as error:
            self._fail(group, error)
            with suppress(*self._database.errors):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return not connection.in_transaction
        self.stats.commits += 1
        self.stats.jobs += len(results)
        self.stats.failing = ""
        for future, value in results:
            future.set_result(value)
        for future, failure in failures:
            future.set_exception(failure)
        return True

    def _do(
        self,
        connection: Connection,
        job: _Job,
        results: list[tuple[Future[Any], Any]],
        failures: list[tuple[Future[Any], Exception]],
        *,
        alone: bool,
    ) -> None:
        """One job, which is undone alone where it fails; ``alone`` it is the whole transaction."""
        if not alone:
            connection.execute("SAVEPOINT job")
        try:
            results.append((job.result, job.work(connection)))
        except Exception as error:
            # The boundary: what a job raises is for whoever waits for it.
            if isinstance(error, self._database.errors) and self._database.is_lost(error):
                raise
            failures.append((job.result, error))
            connection.execute("ROLLBACK" if alone else "ROLLBACK TO job")
            self._on_rollback()
        if not alone:
            connection.execute("RELEASE job")

    def _fail(self, group: list[_Job], error: Exception) -> None:
        reason = self._database.reason(error)
        self._on_rollback()
        self.stats.failed_commits += 1
        if self.stats.failing != reason:
            logger.error("writing failed", extra={"reason": reason, "jobs": len(group)})
        self.stats.failing = reason
        for job in group:
            failure = StoreUnavailableError(reason)
            failure.__cause__ = error
            job.result.set_exception(failure)
