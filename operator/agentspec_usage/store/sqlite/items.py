"""Items as rows: what of a frame is charged, one row a record or an aggregate.

An item's time is its own, but not later than five minutes after it was received: one wrong clock
cannot date usage into next year. What it said itself is kept beside it.

The items of one request are gathered and written together, with their sums and as one batch of the
journal, so that each of them is hashed exactly as it was inserted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import NamedTuple

from agentspec_usage.metering.counts import COMPONENTS, TokenCounts
from agentspec_usage.metering.frame import Frame, Item
from agentspec_usage.metering.models import UNATTRIBUTED
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.runtime.ids import draw_bytes
from agentspec_usage.store.proof.rows import (
    DETAIL_COLUMNS,
    RowEncoder,
    Value,
    details_hash,
    leaf_hash,
)
from agentspec_usage.store.sqlite.agents import AgentRow
from agentspec_usage.store.sqlite.charges import Charges, ToPrice
from agentspec_usage.store.sqlite.instances import InstanceRow
from agentspec_usage.store.sqlite.journal import link_batch
from agentspec_usage.store.sqlite.rollups import Stored, add_to_rollups

__all__ = ["MAX_AHEAD_MS", "NewItems", "SeriesNumbers"]

MAX_AHEAD_MS = 5 * 60 * 1000
"""How far an item's time may be ahead of the receiver's clock."""

LOST = SeriesKey(UNATTRIBUTED.provider, UNATTRIBUTED.model, operation="")
"""The series of calls of which only the sum is known."""

SALT_BYTES = 16

_MAX_CACHED_SERIES = 4096

_ITEM_COLUMNS = (
    *("item", "instance", "series", "kind", "first_seq", "last_seq"),
    *("at", "claimed_at", "received_at", "status", "coarse", "requests"),
    *COMPONENTS,
    *("salt", "details", "leaf"),
)
_KEY_COLUMNS = tuple(field.name for field in fields(SeriesKey))
_key_values = attrgetter(*_KEY_COLUMNS)


def _insert(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"


_INSERT_ITEM = _insert("items", _ITEM_COLUMNS)
_INSERT_DETAIL = _insert("item_details", ("item", *DETAIL_COLUMNS, "salt"))
_INSERT_SERIES = _insert("series", _KEY_COLUMNS)
_FIND_SERIES = f"SELECT series FROM series WHERE ({', '.join(_KEY_COLUMNS)}) = (?,?,?,?,?,?,?)"

_NEXT_ITEM = (
    "SELECT max(coalesce((SELECT max(item) FROM items), 0), "
    "coalesce((SELECT max(last_item) FROM batches), 0)) + 1"
)


class SeriesNumbers:
    """The number of each series; remembered, within bounds, while no transaction was undone."""

    def __init__(self) -> None:
        self._known: dict[SeriesKey, int] = {}

    def forget(self) -> None:
        """A transaction was undone: numbers given in it were never given."""
        self._known.clear()

    def of(self, connection: sqlite3.Connection, key: SeriesKey) -> int:
        """The number of ``key``, new if it was never heard of."""
        number = self._known.get(key)
        if number is not None:
            return number
        values = _key_values(key)
        row = connection.execute(_FIND_SERIES, values).fetchone()
        found = int(row[0]) if row else connection.execute(_INSERT_SERIES, values).lastrowid or 0
        if len(self._known) >= _MAX_CACHED_SERIES:
            self._known.clear()
        self._known[key] = found
        return found


class _Facts(NamedTuple):
    """What an item says beside its series and its counts, as it is stored."""

    kind: str
    first_seq: int
    last_seq: int
    at: int
    claimed_at: int | None
    received_at: int
    status: str
    coarse: int
    requests: str | None


class NewItems:
    """The items that one request brings: gathered frame by frame, then written as one batch."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        series: SeriesNumbers,
        encoder: RowEncoder,
        charges: Charges,
        agent: AgentRow,
        now: int,
    ) -> None:
        self._connection = connection
        self._series = series
        self._encoder = encoder
        self._charges = charges
        self._agent = agent
        self._now = now
        self._first = int(connection.execute(_NEXT_ITEM).fetchone()[0])
        self._rows: list[tuple[object, ...]] = []
        self._details: list[tuple[object, ...]] = []
        self._leaves: list[bytes] = []
        self._stored: list[Stored] = []
        self._to_price: list[ToPrice] = []

    def add(self, instance: InstanceRow, frame: Frame) -> None:
        """The frame's items, as the instance's."""
        for item in frame.items:
            details = tuple(_detail(item)) if isinstance(item, UsageRecord) else ()
            facts = _facts(item, self._now)
            self._add(instance, item.key, facts, item.counts, item.requests, details)

    def add_lost(self, instance: InstanceRow, frame: Frame, missing: TokenCounts) -> None:
        """What is known of calls that were acknowledged once and are here no more."""
        times = (self._now, None, self._now)
        facts = _Facts("lost", frame.since + 1, frame.last, *times, str(CallStatus.OK), 0, None)
        self._add(instance, LOST, facts, missing, {}, ())

    def write(self) -> None:
        """Write them, their sums, their charges, and the batch of the journal that they are."""
        if not self._rows:
            return
        self._connection.executemany(_INSERT_ITEM, self._rows)
        self._connection.executemany(_INSERT_DETAIL, self._details)
        add_to_rollups(self._connection, self._agent.number, self._stored)
        self._charges.charge(self._connection, self._agent.number, self._to_price, self._now)
        link_batch(self._connection, self._first, self._leaves, self._now)

    def _add(
        self,
        instance: InstanceRow,
        key: SeriesKey,
        facts: _Facts,
        counts: TokenCounts,
        requests: Mapping[str, int],
        details: tuple[Value, ...],
    ) -> None:
        number = self._first + len(self._rows)
        salt = draw_bytes(SALT_BYTES)
        hashed = None
        if any(details):
            own_salt = draw_bytes(SALT_BYTES)
            hashed = details_hash(details, own_salt)
            self._details.append((number, *details, own_salt))
        agent = self._agent
        row = (
            *(number, agent.agent_id, agent.namespace, agent.name),
            *(instance.instance_id, instance.observer),
            *facts[:6],
            *_key_values(key),
            *facts[6:],
            *counts.as_tuple(),
        )
        leaf = leaf_hash(self._encoder.encode(row), salt, hashed or b"")
        series = self._series.of(self._connection, key)
        self._rows.append(
            (
                *(number, instance.number, series),
                *facts,
                *counts.as_tuple(),
                *(salt, hashed, leaf),
            )
        )
        self._leaves.append(leaf)
        self._stored.append((facts.at, series, counts))
        self._to_price.append(ToPrice(number, facts.at, series, key, counts, requests))


def _facts(item: Item, now: int) -> _Facts:
    if isinstance(item, UsageRecord):
        kind, first, last, claimed, coarse = "record", item.seq, item.seq, item.at, False
    else:
        kind, first, last = "aggregate", item.from_seq, item.to_seq
        claimed, coarse = item.bucket, item.coarse
    at = min(claimed, now + MAX_AHEAD_MS)
    return _Facts(
        *(kind, first, last, at, None if at == claimed else claimed, now),
        *(str(item.status), int(coarse), _json(item.requests)),
    )


def _detail(record: UsageRecord) -> Iterator[Value]:
    """The values of ``DETAIL_COLUMNS``."""
    context = record.context
    yield record.request_model or None
    yield record.call_id or None
    yield record.response_id or None
    yield record.duration_ms
    yield record.ttft_ms
    yield context.user or None
    yield context.session or None
    yield context.run or None
    yield context.parent_run or None
    yield context.team or None
    yield _json(context.labels)
    # A provider's text may hold half a surrogate pair, which no UTF-8 column can.
    yield record.raw.encode(errors="replace").decode() or None


def _json(values: Mapping[str, str] | Mapping[str, int]) -> str | None:
    return json.dumps(dict(values), separators=(",", ":")) if values else None
