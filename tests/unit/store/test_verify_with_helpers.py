"""Helpers save time and decide nothing: what is found is what is found without them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.proof.verified import Verified
from agentspec_usage.store.sql.row_hashes import Roots
from agentspec_usage.store.verifying_processes import Processes, helped
from tests.integration.controlplane.waiting import until
from tests.unit.store.values import apply, edited, frame, register

FRAME = 700
ROWS = 30 * FRAME
"""More than twice of what is read at a time."""


async def _fill(database: str) -> None:
    store = open_store(database)
    try:
        agent = await register(store)
        for since in range(0, ROWS, FRAME):
            await apply(store, agent, frame(since, since + FRAME))
    finally:
        store.close()


@pytest.fixture(scope="module")
def long(new_database: Callable[[], str]) -> str:
    database = new_database()
    asyncio.run(_fill(database))
    return database


@contextmanager
def _changed(database: str, *pairs: tuple[str, str]) -> Iterator[None]:
    """With the first statements of ``pairs`` done, and undone by the others afterwards."""
    with edited(database) as connection:
        for change, _ in pairs:
            connection.execute(change)
    try:
        yield
    finally:
        with edited(database) as connection:
            for _, undo in reversed(pairs):
                connection.execute(undo)


def _with_helpers(database: str) -> Verified:
    with helped(database, 2, 1) as helpers:
        assert helpers is not None
        return verify_database(database, helpers=helpers)


def test_what_nobody_changed_verifies(long: str) -> None:
    found = _with_helpers(long)
    assert (found.finding, found.rows, found.batches) == (None, ROWS, ROWS // FRAME)
    assert found == verify_database(long)


ROW = (
    "UPDATE items SET input = input + 1 WHERE item = 77",
    "UPDATE items SET input = input - 1 WHERE item = 77",
)
LATE_ROW = (
    "UPDATE items SET output = output + 1 WHERE item = 20000",
    "UPDATE items SET output = output - 1 WHERE item = 20000",
)
BATCH = (
    "UPDATE batches SET at = at + 1 WHERE batch = 20",
    "UPDATE batches SET at = at - 1 WHERE batch = 20",
)
SUM = (
    "UPDATE day_sums SET input = input + 1",
    "UPDATE day_sums SET input = input - 1",
)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param([ROW], "row 77: it is not what was accepted", id="a row"),
        pytest.param([LATE_ROW], "row 20000: it is not what was accepted", id="a later row"),
        pytest.param([LATE_ROW, ROW], "row 77: it is not what was accepted", id="two rows"),
        pytest.param(
            [BATCH],
            "batch 20: its hash is not that of what it says",
            id="a batch",
        ),
        pytest.param(
            [LATE_ROW, BATCH],
            "batch 20: its hash is not that of what it says",
            id="a batch and a later row",
        ),
        pytest.param(
            [BATCH, ROW], "row 77: it is not what was accepted", id="a row and a later batch"
        ),
    ],
)
def test_the_first_that_is_wrong_is_named(
    long: str, changes: Sequence[tuple[str, str]], named: str
) -> None:
    with _changed(long, *changes):
        found = _with_helpers(long)
        assert str(found.finding) == named
        assert found == verify_database(long)


def test_a_sum_that_is_not_that_of_its_rows_is_named(long: str) -> None:
    with _changed(long, SUM):
        found = _with_helpers(long)
        assert "day_sums: start" in str(found.finding)
        assert found == verify_database(long)


class Useless:
    """A helper who cannot say anything, as one that died."""

    def __init__(self, ahead: int) -> None:
        self.ahead = ahead

    def roots(self, ranges: Sequence[tuple[int, int]]) -> Callable[[], Roots | None]:
        return lambda: None

    def sums(self, since: int) -> Callable[[], bool]:
        return lambda: False


@pytest.mark.parametrize("ahead", [0, 1, 5])
@pytest.mark.parametrize("changes", [[], [ROW], [SUM]], ids=["nothing", "a row", "a sum"])
def test_a_helper_that_can_say_nothing_is_done_without(
    long: str, changes: Sequence[tuple[str, str]], ahead: int
) -> None:
    with _changed(long, *changes):
        assert verify_database(long, helpers=Useless(ahead)) == verify_database(long)


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _runs(process: int) -> bool:
    """Whether it does; one that ended may still be listed until its new parent looks."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def test_helpers_that_are_killed_are_done_without(long: str) -> None:
    helpers = Processes(long, 2)
    try:
        assert helpers.sums(0)()
        theirs = [
            child
            for child in _children(os.getpid())
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]
        assert len(theirs) == 2
        for child in theirs:
            os.kill(child, signal.SIGKILL)
        until(lambda: not any(_runs(child) for child in theirs), "they are gone")
        assert verify_database(long, helpers=helpers).finding is None
    finally:
        helpers.close()


def test_helpers_end_with_whoever_asked(long: str) -> None:
    program = (
        "import sys; from agentspec_usage.store.verifying_processes import Processes\n"
        "if __name__ == '__main__':\n"
        "    helpers = Processes(sys.argv[1], 2); helpers.sums(0)(); print('helped', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    asking = subprocess.Popen(
        [sys.executable, "-c", program, long], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == b"helped\n"
        children = _children(asking.pid)
        assert children
        os.kill(asking.pid, signal.SIGKILL)
    until(lambda: not any(_runs(child) for child in children), "they ended")


def test_a_short_journal_is_read_without_helpers(long: str) -> None:
    with helped(long, 2, ROWS + 1) as helpers:
        assert helpers is None
    with helped(long, 1, 1) as helpers:
        assert helpers is None
