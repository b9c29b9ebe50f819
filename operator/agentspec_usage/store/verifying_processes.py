"""Other processes that help to verify, because Python reads rows with one core a process.

Each opens the database for itself, so it reads a moment of its own, later than the one that the
journal is verified at; rows are only added meanwhile. What a helper does not find to be good is
looked at again by whoever asked, and so is everything that was asked of a helper that died.

Processes are begun anew and not forked: the program that asks may have threads.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

from agentspec_usage.store.opening import reading
from agentspec_usage.store.sql.differences import first_difference
from agentspec_usage.store.sql.row_hashes import Roots, roots_of

__all__ = ["Processes", "helped", "usable_cores"]

Result = TypeVar("Result")
Other = TypeVar("Other")

_WORTHWHILE = 200_000
"""Rows from which on helpers save more than their beginning costs, about half a second each."""


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def helped(database: str, processes: int, rows: int = _WORTHWHILE) -> Iterator[Processes | None]:
    """So many helpers, where more than one is wanted and ``database`` has at least ``rows``.

    Raises ``StoreUnusableError`` where it cannot be read.
    """
    if processes < 2 or _newest(database) < rows:
        yield None
        return
    helpers = Processes(database, processes)
    try:
        yield helpers
    finally:
        helpers.close()


class Processes:
    """``number`` processes that read ``database``, as ``store.sql.verifying.Helpers``."""

    def __init__(self, database: str, number: int) -> None:
        self._database = database
        self._number = number
        self._pool = ProcessPoolExecutor(number, get_context("spawn"), _begin)
        # All of them at once: one that is begun while another's death is found out is waited for
        # without end.
        for _ in range(number):
            self._pool.submit(int)

    @property
    def ahead(self) -> int:
        return 2 * self._number

    def roots(self, ranges: Sequence[tuple[int, int]]) -> Callable[[], Roots | None]:
        return self._ask(None, _roots, self._database, list(ranges))

    def sums(self, since: int) -> Callable[[], bool]:
        return self._ask(False, _sums_are_good, self._database, since)

    def _ask(
        self, otherwise: Other, work: Callable[..., Result], *of: object
    ) -> Callable[[], Result | Other]:
        try:
            asked = self._pool.submit(work, *of)
        except (BrokenProcessPool, OSError):
            # They died; it may be while the pool was finding that out.
            return lambda: otherwise
        # Whatever failed: whoever asked finds it out, or does what could not be done.
        return lambda: asked.result() if asked.exception() is None else otherwise

    def close(self) -> None:
        """End them; what they have not begun is not done any more."""
        self._pool.shutdown(cancel_futures=True)


def _newest(database: str) -> int:
    with reading(database) as connection:
        return int(connection.execute("SELECT max(item) FROM items").fetchone()[0] or 0)


def _roots(database: str, ranges: Sequence[tuple[int, int]]) -> Roots:
    with reading(database) as connection:
        return roots_of(connection, ranges)


def _sums_are_good(database: str, since: int) -> bool:
    with reading(database) as connection:
        return first_difference(connection, since) is None


def _begin() -> None:
    """Whoever asked is told of Ctrl-C, and ends its helpers; when it is gone they end as well."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
