"""Items as rows: what of a frame is charged, one row a record or an aggregate.

An item's time is its own, but not later than five minutes after it was received: one wrong clock
cannot date usage into next year. What it said itself is kept beside it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import fields

from agentspec_usage.metering.counts import COMPONENTS, TokenCounts
from agentspec_usage.metering.frame import Frame, Item
from agentspec_usage.metering.models import UNATTRIBUTED
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.store.sqlite.rollups import Stored

__all__ = ["MAX_AHEAD_MS", "SeriesNumbers", "insert_items", "insert_lost"]

MAX_AHEAD_MS = 5 * 60 * 1000
"""How far an item's time may be ahead of the receiver's clock."""

LOST = SeriesKey(UNATTRIBUTED.provider, UNATTRIBUTED.model, operation="")
"""The series of calls of which only the sum is known."""

_MAX_CACHED_SERIES = 4096

_ITEM_COLUMNS = (
    *("item", "instance", "kind", "first_seq", "last_seq", "at", "claimed_at", "received_at"),
    *("series", "status", "coarse", "requests"),
    *COMPONENTS,
)
_DETAIL_COLUMNS = (
    *("item", "request_model", "call_id", "response_id", "duration_ms", "ttft_ms"),
    *("user", "session", "run", "parent_run", "team", "labels", "raw"),
)
_KEY_COLUMNS = tuple(field.name for field in fields(SeriesKey))


def _insert(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"


_INSERT_ITEM = _insert("items", _ITEM_COLUMNS)
_INSERT_DETAIL = _insert("item_details", _DETAIL_COLUMNS)
_INSERT_SERIES = _insert("series", _KEY_COLUMNS)
_FIND_SERIES = f"SELECT series FROM series WHERE ({', '.join(_KEY_COLUMNS)}) = (?,?,?,?,?,?,?)"


class SeriesNumbers:
    """The number of each series; remembered, within bounds, while no transaction was undone."""

    def __init__(self) -> None:
        self._known: dict[SeriesKey, int] = {}

    def forget(self) -> None:
        """A transaction was undone: numbers given in it were never given."""
        self._known.clear()

    def of(self, connection: sqlite3.Connection, key: SeriesKey) -> int:
        number = self._known.get(key)
        if number is not None:
            return number
        values = tuple(getattr(key, name) for name in _KEY_COLUMNS)
        row = connection.execute(_FIND_SERIES, values).fetchone()
        found = int(row[0]) if row else connection.execute(_INSERT_SERIES, values).lastrowid or 0
        if len(self._known) >= _MAX_CACHED_SERIES:
            self._known.clear()
        self._known[key] = found
        return found


def insert_items(
    connection: sqlite3.Connection, series: SeriesNumbers, instance: int, frame: Frame, now: int
) -> list[Stored]:
    """Insert the frame's items as the instance's; what the kept sums need to know of them."""
    number = _next_item(connection)
    rows: list[tuple[object, ...]] = []
    details: list[tuple[object, ...]] = []
    stored: list[Stored] = []
    for item in frame.items:
        of_series, at = series.of(connection, item.key), _time_of(item, now)
        rows.append((number, instance, *_row(item, of_series, at, now)))
        stored.append((at, of_series, item.counts))
        if isinstance(item, UsageRecord) and any(detail := tuple(_detail(item))):
            details.append((number, *detail))
        number += 1
    connection.executemany(_INSERT_ITEM, rows)
    connection.executemany(_INSERT_DETAIL, details)
    return stored


def insert_lost(
    connection: sqlite3.Connection,
    series: SeriesNumbers,
    instance: int,
    frame: Frame,
    missing: TokenCounts,
    now: int,
) -> Stored:
    """Insert what is known of the calls that were acknowledged once and are here no more."""
    of_series = series.of(connection, LOST)
    row = (
        *(_next_item(connection), instance, "lost", frame.since + 1, frame.last, now, None, now),
        *(of_series, str(CallStatus.OK), 0, None),
        *missing.as_tuple(),
    )
    connection.execute(_INSERT_ITEM, row)
    return now, of_series, missing


def _next_item(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(item), 0) + 1 FROM items").fetchone()[0])


def _claimed_time(item: Item) -> int:
    return item.at if isinstance(item, UsageRecord) else item.bucket


def _time_of(item: Item, now: int) -> int:
    return min(_claimed_time(item), now + MAX_AHEAD_MS)


def _row(item: Item, series: int, at: int, now: int) -> tuple[object, ...]:
    if isinstance(item, UsageRecord):
        kind, first, last, coarse = "record", item.seq, item.seq, False
    else:
        kind, first, last, coarse = "aggregate", item.from_seq, item.to_seq, item.coarse
    claimed = _claimed_time(item)
    return (
        *(kind, first, last, at, None if at == claimed else claimed, now),
        *(series, str(item.status), int(coarse), _json(item.requests)),
        *item.counts.as_tuple(),
    )


def _detail(record: UsageRecord) -> Iterator[object]:
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
