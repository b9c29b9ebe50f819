"""The tail in the store: what was told beyond what is charged, and how it becomes charges.

The laws are ``metering.tail``'s. Three things happen to an instance's levels, each inside a
transaction that is open already:

* ``report``: totals were told. They raise *reported*, and leave marks where they exceed *charged*.
* ``Deliveries.settle``: frames brought calls. They take back estimates, and what they cover needs
  no marks any more. The first ones of an agent take over what was seen of the process as another
  agent's (``names``).
* ``bill_tail``: what was seen before some time becomes estimates, dated in the buckets in which it
  was seen. A period's close does that up to its end; between closes it is done with what is a day
  old, so that the usage of an agent that is only looked at is in every sum, marks stay few, and a
  close has little left to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentspec_usage.metering.counts import ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.frame import bucket_of
from agentspec_usage.metering.level import Level
from agentspec_usage.metering.series import MAX_SERIES, SeriesKey
from agentspec_usage.metering.tail import TailPart, tail_parts
from agentspec_usage.store.sql.agents import AgentRow
from agentspec_usage.store.sql.charging import Charging
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import SERIES_COLUMNS, Dictionaries, Numbered
from agentspec_usage.store.sql.estimates import move_estimates, take_back
from agentspec_usage.store.sql.instances import InstanceRow
from agentspec_usage.store.sql.items import LOST, Entry, NewItems
from agentspec_usage.store.sql.levels import (
    APPLIED,
    ESTIMATED,
    REPORTED,
    TOTALS,
    add_to_cells,
    charged_levels,
    forget_marks,
    forget_tails,
    marked,
    marks_before,
    move_tail,
    one_of,
    paths_of,
    raise_tails,
    seen_levels,
    set_path,
)
from agentspec_usage.store.sql.names import hand_over

__all__ = [
    "Deliveries",
    "Told",
    "bill_tail",
    "report",
    "series_keys",
    "settle_tails",
]

_MANY = 64
"""Instances whose levels are read at a time."""


@dataclass(frozen=True, slots=True)
class Told:
    """An instance told how far it had counted. ``at`` (ms) is when that was seen."""

    agent: int
    instance: int
    level: Level[SeriesKey]
    at: int


def report(connection: Connection, dictionaries: Dictionaries, told: Iterable[Told]) -> None:
    """Keep what instances told. Whatever the order in which it comes, totals end up the same."""
    newest: dict[int, Told] = {}
    for one in told:
        known = newest.get(one.instance)
        if known is not None:
            one = Told(one.agent, one.instance, known.level.join(one.level), max(known.at, one.at))
        if one.level:
            newest[one.instance] = one
    if not newest:
        return
    paths = paths_of(connection, newest)
    beyond, reported = [], {}
    for instance, one in newest.items():
        path = paths[instance]
        known_totals = path.get(REPORTED, ZERO)
        if not known_totals.covers(one.level.totals):
            reported[instance] = known_totals.join(one.level.totals)
        charged = path.get(APPLIED, ZERO) + path.get(ESTIMATED, ZERO)
        if not charged.covers(one.level.totals):
            beyond.append(one)
    set_path(connection, REPORTED, reported)
    if beyond:
        _mark(connection, dictionaries, beyond)


def _mark(connection: Connection, dictionaries: Dictionaries, beyond: Sequence[Told]) -> None:
    """Keep the levels of instances that told of more than is charged."""
    seen = seen_levels(connection, [one.instance for one in beyond])
    risen: list[tuple[int, int, int, int, TokenCounts]] = []
    for one in beyond:
        newest, level = seen.get(one.instance, (0, Level()))
        joined = level.join(_numbered(connection, dictionaries, one.level, level))
        if joined == level:
            continue
        # What was seen earlier and is told later was used by then, but not before the last mark.
        bucket = max(bucket_of(one.at), newest)
        risen.append((one.agent, one.instance, TOTALS, bucket, joined.totals))
        risen.extend(
            (one.agent, one.instance, series, bucket, counts)
            for series, counts in joined.cells.items()
            if counts != level.cell(series)
        )
    raise_tails(connection, risen)


def _numbered(
    connection: Connection, dictionaries: Dictionaries, told: Level[SeriesKey], known: Level[int]
) -> Level[int]:
    """The level by the series' numbers: those that are known, and new ones while there is room."""
    cells: dict[int, TokenCounts] = {}
    room = MAX_SERIES - len(known.cells)
    for key, counts in list(told.cells.items())[:MAX_SERIES]:
        number = dictionaries.series(connection, key).number
        if number not in known.cells:
            if room <= 0:
                continue
            room -= 1
        cells[number] = counts
    return Level(told.totals, cells)


class Deliveries:
    """What the frames of one request brought, instance by instance; settled before it is written.

    Together and not frame by frame, because what one frame takes back is not to be read yet by the
    next.
    """

    def __init__(self, new: NewItems) -> None:
        self._new = new
        self._brought: dict[InstanceRow, dict[int, TokenCounts]] = {}
        self._told: dict[InstanceRow, TokenCounts] = {}
        self._taken_over: dict[InstanceRow, tuple[AgentRow, Sequence[InstanceRow]]] = {}

    def add(
        self,
        instance: InstanceRow,
        totals: TokenCounts,
        brought: Mapping[int, TokenCounts],
        missing: TokenCounts | None,
    ) -> None:
        """A frame that ended at ``totals`` was applied; ``missing`` was lost before it and is an
        item, also of nothing.
        """
        cells = self._brought.setdefault(instance, {})
        for series, counts in brought.items():
            cells[series] = cells.get(series, ZERO) + counts
        if missing is not None:
            series = self._new.series(LOST).number
            cells[series] = cells.get(series, ZERO) + missing
        self._told[instance] = self._told.get(instance, ZERO).join(totals)

    def take_over(
        self, agent: AgentRow, instance: InstanceRow, others: Sequence[InstanceRow]
    ) -> None:
        """What was seen as ``others`` was seen of the agent's ``instance``, whose first frame was
        applied."""
        if others:
            self._taken_over[instance] = agent, others

    def settle(self) -> None:
        """Estimates fall by what was delivered; what is covered now is no tail any more."""
        if not self._brought:
            return
        connection = self._new.connection
        others = [other for _, losers in self._taken_over.values() for other in losers]
        paths = paths_of(connection, [each.number for each in (*self._brought, *others)])
        changed = _Changed()
        covered: list[int] = []
        for instance, cells in self._brought.items():
            number, path = instance.number, paths[instance.number]
            applied, told = path.get(APPLIED, ZERO), path.get(REPORTED, ZERO)
            stood = path.get(ESTIMATED, ZERO)
            delivered = sum_counts(cells.values())
            changed.add(number, cells)
            if delivered.meet(stood):
                changed.subtract(number, take_back(self._new, instance, cells))
            seen, moved = self._take(instance, cells, paths, changed)
            standing = stood.increase_since(delivered) + moved
            if standing != stood:
                changed.estimated[number] = standing
            joined = told.join(seen).join(self._told[instance])
            if joined != told:
                changed.reported[number] = joined
            before = applied.increase_since(delivered) + stood
            if not before.covers(told.join(seen)) and (applied + standing).covers(joined):
                covered.append(number)
        changed.write(connection)
        if covered:
            forget_tails(connection, covered)

    def _take(
        self,
        instance: InstanceRow,
        cells: Mapping[int, TokenCounts],
        paths: Mapping[int, Mapping[str, TokenCounts]],
        changed: _Changed,
    ) -> tuple[TokenCounts, TokenCounts]:
        """Take over what was seen as others: how far that was, and what of it stands as estimates
        beside ``cells``. The others are left with what their own frames brought."""
        if instance not in self._taken_over:
            return ZERO, ZERO
        connection = self._new.connection
        agent, losers = self._taken_over[instance]
        seen = moved = ZERO
        for loser in losers:
            path = paths[loser.number]
            seen = seen.join(path.get(REPORTED, ZERO))
            changed.reported[loser.number] = path.get(APPLIED, ZERO)
            if path.get(ESTIMATED, ZERO):
                lost, found = move_estimates(self._new, loser, agent, instance, cells)
                changed.subtract(loser.number, lost)
                changed.estimated[loser.number] = ZERO
                changed.add(instance.number, found)
                moved += sum_counts(found.values())
            move_tail(connection, loser.number, instance.number)
        hand_over(connection, instance.number, [loser.number for loser in losers])
        return seen, moved


class _Changed:
    """What becomes of instances' levels; written together, in the order of their keys."""

    def __init__(self) -> None:
        self.reported: dict[int, TokenCounts] = {}
        self.estimated: dict[int, TokenCounts] = {}
        self._cells: dict[tuple[int, int], Sequence[int]] = {}

    def add(self, instance: int, cells: Mapping[int, TokenCounts], sign: int = 1) -> None:
        """More is charged of these series."""
        for series, counts in cells.items():
            known = self._cells.get((instance, series), ZERO.as_tuple())
            self._cells[instance, series] = [
                a + sign * b for a, b in zip(known, counts.as_tuple(), strict=True)
            ]

    def subtract(self, instance: int, cells: Mapping[int, TokenCounts]) -> None:
        self.add(instance, cells, -1)

    def write(self, connection: Connection) -> None:
        set_path(connection, REPORTED, self.reported)
        set_path(connection, ESTIMATED, self.estimated)
        add_to_cells(connection, self._cells)


def bill_tail(connection: Connection, new: NewItems, until: int) -> int:
    """Add the estimates of everything that was seen before ``until`` (ms, the end of a bucket) and
    is not charged; how many there were. The caller writes ``new``."""
    before = len(new)
    while few := marked(connection, until, _MANY):
        _bill(connection, new, until, few)
    return len(new) - before


def settle_tails(
    connection: Connection,
    dictionaries: Dictionaries,
    charging: Charging,
    until: int,
    limit: int,
    now: int,
) -> int:
    """Bill the oldest tails of so many instances, in a batch of their own; how many there were."""
    instances = marked(connection, until, limit)
    if instances:
        new = NewItems(connection, dictionaries, charging, now)
        _bill(connection, new, until, instances)
        new.write()
    return len(instances)


def _bill(connection: Connection, new: NewItems, until: int, instances: Sequence[int]) -> None:
    owners = _owners(connection, instances)
    charged = charged_levels(connection, instances)
    paths = paths_of(connection, instances)
    rest = new.series(LOST).number
    parts = {
        instance: list(
            tail_parts(marks_before(connection, instance, until), charged[instance], rest)
        )
        for instance in instances
    }
    keys = series_keys(connection, {part.key for of in parts.values() for part in of})
    estimated: dict[int, TokenCounts] = {}
    changes: dict[tuple[int, int], Sequence[int]] = {}
    covered: list[int] = []
    for instance, of_instance in parts.items():
        cells: dict[int, TokenCounts] = {}
        for part in of_instance:
            new.add_entry(_estimate(new, *owners[instance], keys[part.key], part))
            cells[part.key] = cells.get(part.key, ZERO) + part.counts
        path = paths[instance]
        if cells:
            estimated[instance] = path.get(ESTIMATED, ZERO) + sum_counts(cells.values())
            changes.update({(instance, key): counts.as_tuple() for key, counts in cells.items()})
        forget_marks(connection, instance, until)
        total = path.get(APPLIED, ZERO) + estimated.get(instance, path.get(ESTIMATED, ZERO))
        if total.covers(path.get(REPORTED, ZERO)):
            covered.append(instance)
    set_path(connection, ESTIMATED, estimated)
    add_to_cells(connection, changes)
    if covered:
        forget_tails(connection, covered)


def _estimate(
    new: NewItems,
    agent: AgentRow,
    instance: InstanceRow,
    series: tuple[Numbered, SeriesKey],
    part: TailPart[int],
) -> Entry:
    number, key = series
    # That the calls were made is known, and nothing else of them is.
    charged = new.charged(key, part.bucket, part.counts, {}, assumed=True)
    at = max(part.bucket, new.closed_until)
    return Entry(
        account=new.account(agent, ""),
        instance=instance,
        series=number,
        charged=charged,
        kind="estimate",
        at=at,
        counts=part.counts,
        claimed_at=None if at == part.bucket else part.bucket,
        correction=int(at > part.bucket),
    )


def _owners(
    connection: Connection, instances: Sequence[int]
) -> dict[int, tuple[AgentRow, InstanceRow]]:
    rows = connection.execute(
        "SELECT instances.instance, instances.hash, agents.agent, agents.agent_id, "
        "agents.namespace, agents.name, agents.cost_center FROM instances "
        f"JOIN agents USING (agent) WHERE instances.instance {one_of(instances)}",
        (*instances,),
    )
    return {
        number: (AgentRow(*columns), InstanceRow(number, hashed))
        for number, hashed, *columns in rows
    }


def series_keys(
    connection: Connection, numbers: Iterable[int]
) -> dict[int, tuple[Numbered, SeriesKey]]:
    """The series of these numbers."""
    wanted = tuple(numbers)
    if not wanted:
        return {}
    rows = connection.execute(
        f"SELECT series, hash, {', '.join(SERIES_COLUMNS)} FROM series "
        f"WHERE series {one_of(wanted)}",
        wanted,
    )
    found = {}
    for number, hashed, *values in rows:
        named = dict(zip(SERIES_COLUMNS, values, strict=True))
        named["batch"] = bool(named["batch"])
        found[number] = (Numbered(number, hashed), SeriesKey(**named))
    return found
