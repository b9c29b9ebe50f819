"""Items as rows: what of a frame is charged, one row a record or an aggregate; and corrections.

An item's time is its own as far as that is believed (``metering.believing``): one wrong clock can
date usage neither into next year nor into 1970. And it is not before the end of the newest closed
period, because what was charged for a closed period never changes: what comes late is a correction
in the open one.

The price is that of the believed time. Where ``at`` is another time than the item said,
``claimed_at`` keeps the other: of a correction when it was used, as far as that is believed, else
what the item said itself. Then its price rests on an assumption, and it is counted so
(``estimated``).

The items of one request are gathered and written together, with their sums and as one batch of the
journal, so that each of them is hashed exactly as it was inserted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from agentspec_usage.metering.believing import believed
from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.frame import Frame, Item
from agentspec_usage.metering.models import UNATTRIBUTED
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.runtime.ids import draw_bytes
from agentspec_usage.store.proof.rows import (
    DETAIL_COLUMNS,
    ROW_COLUMNS,
    Value,
    details_hash,
    encode_details,
    encode_row,
    leaf_hash,
)
from agentspec_usage.store.sql.agents import AgentRow
from agentspec_usage.store.sql.charging import Charged, Charging
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import Dictionaries, Numbered
from agentspec_usage.store.sql.instances import InstanceRow
from agentspec_usage.store.sql.journal import link_batch
from agentspec_usage.store.sql.rollups import Stored, add_to_rollups

__all__ = [
    "CALL_KINDS",
    "LOST",
    "SEQS",
    "Entry",
    "NewItems",
    "closed_until",
    "is_assumed",
    "seqs_skipped",
]

CALL_KINDS = ("record", "aggregate", "lost", "estimate")
"""Entries that are usage; the others correct some."""

LOST = SeriesKey(UNATTRIBUTED.provider, UNATTRIBUTED.model, operation="")
"""The series of calls of which only the sum is known."""

SEQS = """
    CASE kind WHEN 'record' THEN 1 WHEN 'aggregate' THEN calls
    WHEN 'lost' THEN last_seq - first_seq + 1 ELSE 0 END"""
"""How many of its instance's seqs an item covers, in SQL: all items of an instance together cover
every seq up to its watermark. Calls that are missing beside others of their frame cover none."""

SALT_BYTES = 16
_SALTS_AT_ONCE = 128

_ITEM_COLUMNS = (*ROW_COLUMNS, "salt", "details", "leaf")
_DETAIL_COLUMNS = ("item", *DETAIL_COLUMNS, "salt")

_NEWEST = "SELECT (SELECT max(item) FROM items), (SELECT max(last_item) FROM batches)"


class Entry(NamedTuple):
    """A row of ``items`` but for what is the same for all of a batch; see ``schema.items``."""

    account: Numbered
    instance: InstanceRow
    series: Numbered
    charged: Charged
    kind: str
    at: int
    counts: TokenCounts
    first_seq: int = 0
    last_seq: int = 0
    corrects: int | None = None
    claimed_at: int | None = None
    status: str = str(CallStatus.OK)
    coarse: int = 0
    correction: int = 0
    requests: str | None = None


def is_assumed(claimed_at: int | None, correction: int) -> bool:
    """Whether an item's time is not its own because its own was not believed."""
    return claimed_at is not None and not correction


def closed_until(connection: Connection) -> int:
    """The end (ms) of the newest closed period; 0 when none was closed."""
    row = connection.execute("SELECT max(end_at) FROM periods").fetchone()
    return int(row[0] or 0)


def seqs_skipped(frame: Frame) -> int:
    """How many of the frame's seqs none of its items covers: of a lost frame all of them."""
    covered = sum(1 if isinstance(i, UsageRecord) else i.counts.calls for i in frame.items)
    return frame.last - frame.since - covered


class _Salts:
    """Salts of 128 bits, drawn by the hundred: asking the operating system costs more than the
    bytes do."""

    def __init__(self) -> None:
        self._drawn = b""
        self._next = 0

    def draw(self) -> bytes:
        """One that nobody has."""
        begin = self._next
        if begin == len(self._drawn):
            self._drawn, begin = draw_bytes(_SALTS_AT_ONCE * SALT_BYTES), 0
        self._next = begin + SALT_BYTES
        return self._drawn[begin : self._next]


class NewItems:
    """The items that one request brings: gathered frame by frame, then written as one batch."""

    def __init__(
        self, connection: Connection, dictionaries: Dictionaries, charging: Charging, now: int
    ) -> None:
        self._connection = connection
        self._dictionaries = dictionaries
        self._charging = charging
        self._now = now
        self._closed_until = closed_until(connection)
        self._first = 1 + max(int(each or 0) for each in connection.execute(_NEWEST).fetchone())
        self._rows: list[tuple[object, ...]] = []
        self._details: list[tuple[object, ...]] = []
        self._leaves: list[bytes] = []
        self._stored: list[Stored] = []
        self._salts = _Salts()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def closed_until(self) -> int:
        """The end (ms) of the newest closed period."""
        return self._closed_until

    def account(self, agent: AgentRow, team: str) -> Numbered:
        """Who is charged."""
        return self._dictionaries.account(self._connection, agent, agent.cost_center, team)

    def series(self, key: SeriesKey) -> Numbered:
        return self._dictionaries.series(self._connection, key)

    def charged(
        self,
        key: SeriesKey,
        at: int,
        counts: TokenCounts,
        requests: Mapping[str, int],
        *,
        assumed: bool = False,
    ) -> Charged:
        """What that costs by the prices at ``at`` (ms); an estimate where that is ``assumed``."""
        priced = self._charging.priced(key, at, counts, requests)
        if assumed:
            priced = priced.assumed(counts.calls)
        return self._charging.charged(self._connection, self._dictionaries, priced)

    def dated(self, at: int, corrected_at: int | None) -> tuple[int, int | None, int]:
        """Where what takes back or charges anew belongs: ``at``, ``claimed_at``, ``correction``.

        It is dated as the entry is that it is of, and is a correction where that is one (of what
        was used ``corrected_at``), or where that is in a period which was closed since.
        """
        if at < self._closed_until:
            return self._closed_until, at, 1
        return at, corrected_at, int(corrected_at is not None)

    def add(self, agent: AgentRow, instance: InstanceRow, frame: Frame) -> dict[int, TokenCounts]:
        """The frame's items, as the instance's; what they bring, by the numbers of series."""
        brought: dict[int, list[TokenCounts]] = {}
        for item in frame.items:
            series = self.series(item.key)
            self._add_item(agent, instance, item, series)
            brought.setdefault(series.number, []).append(item.counts)
        return {number: sum_counts(counts) for number, counts in brought.items()}

    def add_lost(
        self,
        agent: AgentRow,
        instance: InstanceRow,
        frame: Frame,
        missing: TokenCounts,
        skipped: int,
    ) -> None:
        """What is known of calls that were acknowledged once and are here no more: their sum, and
        that the frame skips so many seqs. Either may be nothing."""
        # This clock may be behind that of whoever closed the period.
        at = max(self._now, self._closed_until)
        self.add_entry(
            Entry(
                account=self.account(agent, ""),
                instance=instance,
                series=self.series(LOST),
                charged=self.charged(LOST, self._now, missing, {}),
                kind="lost",
                at=at,
                claimed_at=None if at == self._now else self._now,
                correction=int(at > self._now),
                counts=missing,
                first_seq=frame.last - skipped + 1,
                last_seq=frame.last,
            )
        )

    def add_entry(self, entry: Entry, details: tuple[Value, ...] = ()) -> int:
        """An entry that was made elsewhere. Its number."""
        number = self._first + len(self._rows)
        salt = self._salts.draw()
        hashed = None
        if details.count(None) < len(details):
            own_salt = self._salts.draw()
            hashed = details_hash(encode_details(details), own_salt)
            self._details.append((number, *details, own_salt))
        charged = entry.charged
        counts = entry.counts.as_tuple()
        facts = (
            *(entry.kind, entry.corrects, entry.first_seq, entry.last_seq),
            *(entry.at, entry.claimed_at, self._now),
            *(entry.status, entry.coarse, entry.correction, entry.requests),
            *counts,
            *charged[2:],
        )
        said = (
            *(number, entry.account.hash, entry.instance.hash, entry.series.hash),
            charged.price_hash,
            *facts,
        )
        leaf = leaf_hash(encode_row(said), salt, hashed or b"")
        of = (entry.account.number, entry.series.number, charged.price)
        self._rows.append(
            (
                *(number, of[0], entry.instance.number, *of[1:]),
                *facts,
                *(salt, hashed, leaf),
            )
        )
        self._leaves.append(leaf)
        values = (int(entry.kind in CALL_KINDS), *counts, *charged[2:])
        self._stored.append(Stored(entry.at, *of, values))
        return number

    def write(self) -> None:
        """Write them, their sums, and the batch of the journal that they are."""
        if not self._rows:
            return
        self._connection.insert("items", _ITEM_COLUMNS, self._rows)
        self._connection.insert("item_details", _DETAIL_COLUMNS, self._details)
        add_to_rollups(self._connection, self._stored)
        link_batch(self._connection, self._first, self._leaves, self._now)

    def _add_item(
        self, agent: AgentRow, instance: InstanceRow, item: Item, series: Numbered
    ) -> None:
        team, details = "", tuple[Value, ...]()
        coarse = 0
        if isinstance(item, UsageRecord):
            kind, first, last, claimed = "record", item.seq, item.seq, item.at
            team, details = item.context.team, _details(item)
        else:
            kind, first, last = "aggregate", item.from_seq, item.to_seq
            claimed, coarse = item.bucket, int(item.coarse)
        used_at = believed(claimed, self._now)
        at = max(used_at, self._closed_until)
        correction = int(at > used_at)
        other = used_at if correction else claimed
        claimed_at = None if at == other else other
        assumed = is_assumed(claimed_at, correction)
        charged = self.charged(item.key, used_at, item.counts, item.requests, assumed=assumed)
        self.add_entry(
            Entry(
                self.account(agent, team),
                instance,
                series,
                charged,
                kind,
                at,
                item.counts,
                first,
                last,
                None,
                claimed_at,
                str(item.status),
                coarse,
                correction,
                _json(item.requests),
            ),
            details,
        )


def _details(record: UsageRecord) -> tuple[Value, ...]:
    """The values of ``DETAIL_COLUMNS``."""
    context = record.context
    return (
        record.request_model or None,
        record.call_id or None,
        record.response_id or None,
        record.duration_ms,
        record.ttft_ms,
        context.user or None,
        context.session or None,
        context.run or None,
        context.parent_run or None,
        context.team or None,
        _json(context.labels),
        _storable(record.raw) if record.raw else None,
    )


def _storable(text: str) -> str:
    """A provider's text may hold half a surrogate pair or a NUL, which not every database can."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _json(values: Mapping[str, str] | Mapping[str, int]) -> str | None:
    if not values:
        return None
    return json.dumps(dict(values), separators=(",", ":"), sort_keys=True)
