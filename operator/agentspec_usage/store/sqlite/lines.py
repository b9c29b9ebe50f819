"""What a statement is made of: the usage of a period by namespace, agent and model."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from agentspec_usage.pricing.statement import Usage
from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sqlite.opening import open_verified
from agentspec_usage.store.sqlite.sums import lines

__all__ = ["read_lines"]


def read_lines(path: Path, asked: UsageFilter) -> Sequence[Usage]:
    """The usage in the database at ``path``; it may be in use, or be a backup.

    Raises ``StoreUnusableError`` where it cannot be read.
    """
    connection = open_verified(path)
    try:
        connection.execute("BEGIN")
        found = lines(connection, asked)
    except sqlite3.Error as error:
        raise StoreUnusableError(f"{path}: {error}") from error
    finally:
        connection.close()
    return [
        Usage(
            (agent.namespace, agent.name, model),
            used.counts,
            used.costs,
            used.unpriced,
            used.estimated,
        )
        for (agent, model), used in found.items()
    ]
