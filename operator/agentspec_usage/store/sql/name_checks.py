"""What rows have by a hash (who is charged, which process counted, the price context, the prices),
compared with what was hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agentspec_usage.store.proof.rows import named_hash
from agentspec_usage.store.sql.agents import AgentRow
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import (
    PRICE_COLUMNS,
    SERIES_COLUMNS,
    account_hash,
)
from agentspec_usage.store.sql.instances import instance_hash

__all__ = ["first_changed_name"]


def first_changed_name(connection: Connection) -> tuple[str, str] | None:
    """The first that is not what was hashed, and what is wrong; None where all are."""
    for table, query, hash_of in _NAMES:
        for number, said, *values in connection.stream(query):
            if hash_of(values) != said:
                return f"{table}: {number}", "it is not what rows were stored with"
    return None


def _hash_of_account(values: Sequence[Any]) -> str:
    agent_id, namespace, name, cost_center, team = values
    return account_hash(AgentRow(0, agent_id, namespace, name), cost_center, team)


def _hash_of(what: str, columns: Sequence[str]) -> Callable[[Sequence[Any]], str]:
    return lambda values: named_hash(what, dict(zip(columns, values, strict=True)))


_NAMES: tuple[tuple[str, str, Callable[[Sequence[Any]], str]], ...] = (
    (
        "accounts",
        "SELECT account, hash, agent_id, namespace, name, accounts.cost_center, team "
        "FROM accounts LEFT JOIN agents USING (agent) ORDER BY account",
        _hash_of_account,
    ),
    (
        "instances",
        "SELECT instance, hash, agent_id, instance_id, observer "
        "FROM instances LEFT JOIN agents USING (agent) ORDER BY instance",
        lambda values: instance_hash(*values),
    ),
    (
        "series",
        f"SELECT series, hash, {', '.join(SERIES_COLUMNS)} FROM series ORDER BY series",
        _hash_of("series", SERIES_COLUMNS),
    ),
    (
        "prices",
        f"SELECT price, hash, {', '.join(PRICE_COLUMNS)} FROM prices ORDER BY price",
        _hash_of("price", PRICE_COLUMNS),
    ),
)
