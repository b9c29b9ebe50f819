"""What finance does: a statement of what everybody used in a month, and the proof that nobody
changed what it is made of.

Both need the control plane's files alone, and it goes on running. A proof that cannot fail proves
nothing, so the smallest possible change is made in a copy of the database, and has to be found.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from examples.demo.control_plane import DATABASE, HEADS, PUBLIC_KEY
from examples.demo.processes import finished

__all__ = [
    "Stated",
    "a_change_is_found",
    "months_since",
    "nothing_was_changed",
    "show_statement",
    "stated_until_equal",
]

_COPY = "copy.db"
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Stated:
    """The tokens of statements: in all, as they say it, and the sum of each agent's lines."""

    total: int
    by_agent: Mapping[str, int]


def months_since(begin: datetime) -> Sequence[str]:
    """The months from ``begin`` until now, which are two when one ended in between."""
    return tuple(dict.fromkeys(f"{moment:%Y-%m}" for moment in (begin, datetime.now(UTC))))


def stated_until_equal(
    directory: Path, months: Sequence[str], wanted: Mapping[str, int], seconds: float
) -> Stated:
    """What the statements of ``months`` say, as soon as it is what is wanted, after ``seconds`` at
    latest: what the operator read last may be under way.
    """
    deadline = time.monotonic() + seconds
    while (stated := _stated(directory, months)).by_agent != wanted:
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    return stated


def show_statement(directory: Path, months: Sequence[str]) -> None:
    """As people read it."""
    for month in months:
        _show(_statement(month), directory)


def nothing_was_changed(directory: Path) -> bool:
    """Whether ``verify`` says so of the database."""
    code, _ = _show(_verify(DATABASE), directory)
    return code == 0


def a_change_is_found(directory: Path) -> bool:
    """Whether ``verify`` names the row of a copy in which one bit of an amount is another."""
    found = _change_a_copy(directory)
    if found is None:
        print("there is no row that could be changed")
        return False
    row, was, change = found
    print(f"Somebody changes one bit of one amount, in a copy. It was {was}:")
    print(f"$ sqlite3 {_COPY} '{change}'\n")
    code, output = _show(_verify(_COPY), directory)
    return code == 1 and f"CHANGED: row {row}:" in output


def _change_a_copy(directory: Path) -> tuple[int, int, str] | None:
    """The row of the dearest call, the thousandths that it costs, and what was done to it."""
    with (
        closing(sqlite3.connect(directory / DATABASE)) as original,
        closing(sqlite3.connect(directory / _COPY)) as copy,
    ):
        original.backup(copy)
        query = "SELECT item, milli FROM items ORDER BY milli DESC, item LIMIT 1"
        dearest = copy.execute(query).fetchone()
        if dearest is None:
            return None
        row, milli = dearest
        change = f"UPDATE items SET milli = {milli ^ 1} WHERE item = {row}"
        with copy:
            copy.execute(change)
        return row, milli, change


def _statement(month: str) -> str:
    by = "--by namespace,cost-center,agent --digits 4"
    return f"statement --database {DATABASE} --month {month} {by}"


def _verify(database: str) -> str:
    return f"verify --database {database} --public-key {PUBLIC_KEY} --checkpoint {HEADS}"


def _stated(directory: Path, months: Sequence[str]) -> Stated:
    total, by_agent = 0, Counter[str]()
    for month in months:
        done = finished([*_statement(month).split(), "--format=json"], directory)
        if done.returncode != 0:
            print(done.stdout)
            continue
        statement = json.loads(done.stdout)
        total += statement["tokens"]
        for line in statement["lines"]:
            by_agent[line["agent"]] += line["tokens"]
    return Stated(total, dict(by_agent))


def _show(command: str, directory: Path) -> tuple[int, str]:
    """Run ``agentspec-usage`` and show what it says; its exit code, and that."""
    done = finished(command.split(), directory)
    print(f"$ agentspec-usage {command}\n{done.stdout}", flush=True)
    return done.returncode, done.stdout
