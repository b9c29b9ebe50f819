"""Rows as they are now, hashed again and compared with the hashes that are beside them.

A row's bytes are put together by the database (``proof.rows.row_expression``), what it shares with
others by the hashes of ``accounts``, ``instances``, ``series`` and ``prices``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from agentspec_usage.store.proof.rows import (
    details_expression,
    details_hash,
    leaf_hash,
    row_expression,
)
from agentspec_usage.store.proof.tree import root_of
from agentspec_usage.store.proof.verified import WrongError
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dialect import Dialect

__all__ = ["Roots", "RowHashes", "roots_of"]

_NAMED = {"account": "accounts", "instance": "instances", "series": "series", "price": "prices"}


@dataclass(frozen=True, slots=True)
class Roots:
    """The roots of ranges of rows, in their order; of ``erased`` rows the details are gone."""

    roots: tuple[bytes, ...]
    erased: int


def roots_of(connection: Connection, ranges: Sequence[tuple[int, int]]) -> Roots:
    """The roots of ``ranges`` of rows, each from its first to its last, which follow each other.

    Raises ``WrongError`` for the first row that is missing or is not what was accepted.
    """
    if not ranges:
        return Roots((), 0)
    with closing(RowHashes(connection, ranges[0][0], ranges[-1][1])) as rows:
        return Roots(tuple([root_of(rows.leaves(*each)) for each in ranges]), rows.erased)


class RowHashes:
    """The rows from ``first`` to ``last``, in their order, until it is closed."""

    def __init__(self, connection: Connection, first: int, last: int) -> None:
        self._rows = connection.stream(_query(connection.dialect), (first, last))
        self.erased = 0
        """Rows so far whose details were erased."""

    def close(self) -> None:
        """Read no more of them."""
        self._rows.close()

    def __iter__(self) -> Iterator[bytes]:
        """The hashes of those that are there. Raises ``WrongError``."""
        for row in self._rows:
            yield self._leaf(row)

    def leaves(self, first: int, last: int) -> list[bytes]:
        """The hashes of the next rows, which are those from ``first`` to ``last``."""
        leaves: list[bytes] = []
        for expected in range(first, last + 1):
            row = next(self._rows, None)
            if row is None or row[0] != expected:
                raise WrongError(f"row {expected}", "it is missing")
            leaves.append(self._leaf(row))
        return leaves

    def _leaf(self, row: Sequence[Any]) -> bytes:
        item, text, salt, details, leaf, own_salt, of_details = row
        hashed = details or b""
        if own_salt is not None:
            hashed = details_hash(of_details.encode(), own_salt)
            if hashed != details:
                raise WrongError(f"row {item}", "its details are not those that were accepted")
        elif details is not None:
            self.erased += 1
        computed = leaf_hash(text.encode(), salt, hashed) if isinstance(text, str) else b""
        if computed != leaf:
            raise WrongError(f"row {item}", "it is not what was accepted")
        return computed


def _column(column: str) -> str:
    return f"{_NAMED[column]}.hash" if column in _NAMED else f"items.{column}"


def _query(dialect: Dialect) -> str:
    """Rows, each with its bytes and those of its details."""
    details = details_expression(lambda column: dialect.json_of.format(f"item_details.{column}"))
    return f"""
    SELECT items.item, {row_expression(_column)}, items.salt, items.details, items.leaf,
    item_details.salt, CASE WHEN item_details.salt IS NOT NULL THEN {details} END
    FROM items
    LEFT JOIN accounts USING (account) LEFT JOIN instances USING (instance)
    LEFT JOIN series USING (series) LEFT JOIN prices USING (price)
    LEFT JOIN item_details USING (item)
    WHERE items.item >= ? AND items.item <= ? ORDER BY items.item"""
