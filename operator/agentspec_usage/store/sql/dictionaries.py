"""Numbers for what many rows share: accounts, series, prices.

Each is remembered, within bounds, while no transaction was undone: rows of these tables are only
ever added, so a number that was committed stays true whoever else writes, and one that was given in
a transaction that was undone was never given.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import NamedTuple, TypeVar

from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.book import Unpriced
from agentspec_usage.pricing.card import card_of
from agentspec_usage.pricing.rates import UnitPrices
from agentspec_usage.store.proof.rows import Value, named_hash
from agentspec_usage.store.sql.agents import AgentRow
from agentspec_usage.store.sql.connection import Connection

__all__ = [
    "MAX_TEAMS",
    "OTHER_TEAM",
    "PRICE_COLUMNS",
    "SERIES_COLUMNS",
    "Dictionaries",
    "Numbered",
    "account_hash",
]

MAX_TEAMS = 256
"""Teams of one agent and cost centre; an agent names them itself, and every one costs sums."""

OTHER_TEAM = "__other__"

SERIES_COLUMNS = tuple(field.name for field in fields(SeriesKey))
PRICE_COLUMNS = ("catalogue", "currency", "reason", "price_id", "sku", "card", "above")
_series_values = attrgetter(*SERIES_COLUMNS)

_MAX_REMEMBERED = 16_384

Key = TypeVar("Key", bound=Hashable)


class Numbered(NamedTuple):
    """A row that others refer to: its number, and what stands for it in what is hashed."""

    number: int
    hash: str


class Dictionaries:
    """What this process knows of them."""

    def __init__(self) -> None:
        self._series: dict[SeriesKey, Numbered] = {}
        self._accounts: dict[tuple[int, str, str], Numbered] = {}
        self._prices: dict[tuple[str, str, str, int], Numbered] = {}

    def forget(self) -> None:
        """A transaction was undone."""
        for known in (self._series, self._accounts, self._prices):
            known.clear()

    def series(self, connection: Connection, key: SeriesKey) -> Numbered:
        """The number of a price context."""

        def make() -> Numbered:
            values = dict(zip(SERIES_COLUMNS, _series_values(key), strict=True))
            values["batch"] = int(key.batch)
            return _number(connection, "series", values, named_hash("series", values))

        return _remembered(self._series, key, make)

    def account(
        self, connection: Connection, agent: AgentRow, cost_center: str, team: str
    ) -> Numbered:
        """The number of who is charged; teams beyond an agent's bound share one."""
        key = (agent.number, cost_center, team)

        def make() -> Numbered:
            shown = team
            known = self._find_account(connection, key)
            if known is None and team and self._team_count(connection, key) >= MAX_TEAMS:
                shown = OTHER_TEAM
            values: dict[str, Value] = {
                "agent": agent.number,
                "cost_center": cost_center,
                "team": shown,
            }
            said = account_hash(agent, cost_center, shown)
            return known or _number(connection, "accounts", values, said)

        return _remembered(self._accounts, key, make)

    def price(
        self, connection: Connection, catalogue: str, found: UnitPrices | Unpriced, above: int
    ) -> Numbered:
        """The number of the prices by which something was charged, or of why it was not."""
        if isinstance(found, Unpriced):
            key = (catalogue, "", str(found.reason), 0)
        else:
            key = (catalogue, found.price_id, found.sku, above)

        def make() -> Numbered:
            values = dict.fromkeys(("currency", "reason", "price_id", "sku", "card"), "")
            if isinstance(found, Unpriced):
                values["reason"] = str(found.reason)
            else:
                values["currency"] = found.currency
                values["price_id"], values["sku"] = found.price_id, found.sku
                values["card"] = card_of(found, above)
            row: dict[str, Value] = {"catalogue": catalogue, **values, "above": key[3]}
            return _number(connection, "prices", row, named_hash("price", row))

        return _remembered(self._prices, key, make)

    def _find_account(self, connection: Connection, key: tuple[int, str, str]) -> Numbered | None:
        row = connection.execute(
            "SELECT account, hash FROM accounts WHERE agent = ? AND cost_center = ? AND team = ?",
            key,
        ).fetchone()
        return None if row is None else Numbered(*row)

    def _team_count(self, connection: Connection, key: tuple[int, str, str]) -> int:
        row = connection.execute(
            "SELECT count(*) FROM accounts WHERE agent = ? AND cost_center = ?", key[:2]
        ).fetchone()
        return int(row[0])


def account_hash(agent: AgentRow, cost_center: str, team: str) -> str:
    """What stands for an account in what is hashed: by names, and not by numbers."""
    return named_hash(
        "account",
        {
            "agent_id": agent.agent_id,
            "namespace": agent.namespace,
            "name": agent.name,
            "cost_center": cost_center,
            "team": team,
        },
    )


def _remembered(known: dict[Key, Numbered], key: Key, make: Callable[[], Numbered]) -> Numbered:
    found = known.get(key)
    if found is None:
        found = make()
        if len(known) >= _MAX_REMEMBERED:
            known.clear()
        known[key] = found
    return found


def _number(connection: Connection, table: str, values: Mapping[str, Value], said: str) -> Numbered:
    """The row's number: an old one where there is such a row, else a new one."""
    column = {"series": "series", "accounts": "account", "prices": "price"}[table]
    names = tuple(values)
    terms = " AND ".join(f"{name} = ?" for name in names)
    row = connection.execute(
        f"SELECT {column}, hash FROM {table} WHERE {terms}", tuple(values.values())
    ).fetchone()
    if row is None:
        marks = ", ".join("?" * (len(names) + 1))
        row = connection.execute(
            f"INSERT INTO {table} ({', '.join(names)}, hash) VALUES ({marks}) "
            f"RETURNING {column}, hash",
            (*values.values(), said),
        ).fetchone()
    return Numbered(int(row[0]), str(row[1]))
