"""Usage that comes by three ways to a store that closes periods: frames, heartbeats, observations.

What is delivered is the agent's. What is seen may be seen under another name of the namespace, or
be told of the same ids in another namespace, which is a tenant of its own.

Everything between the transaction's BEGIN and its COMMIT is shipped, without the threads around it.
The truth is what each instance called, one call after another, and how far anybody ever saw it; no
code under test sees either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache

from agentspec_usage.metering.counts import COMPONENTS, ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.frame import BUCKET_MS, Frame, bucket_of
from agentspec_usage.metering.periods import Span
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.pricebook.price_file import read_price_book
from agentspec_usage.pricing.card import read_card
from agentspec_usage.pricing.charge import NO_REQUESTS, Charge, charge
from agentspec_usage.store.periods import Period
from agentspec_usage.store.sql.agents import register_agent
from agentspec_usage.store.sql.charging import NO_PRICES, Charging, money_of
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import Dictionaries
from agentspec_usage.store.sql.differences import first_difference
from agentspec_usage.store.sql.frames import apply_frames
from agentspec_usage.store.sql.heartbeats import keep_heartbeat
from agentspec_usage.store.sql.instances import durable_seqs
from agentspec_usage.store.sql.journal import stored_batches
from agentspec_usage.store.sql.observing import observe
from agentspec_usage.store.sql.period_checks import first_changed_period
from agentspec_usage.store.sql.periods import close_period, closed_periods
from agentspec_usage.store.sql.provisional import tails_in
from agentspec_usage.store.sql.tail import settle_tails
from agentspec_usage.store.sqlite.connection import SqliteConnection
from agentspec_usage.store.sqlite.opening import migrate
from agentspec_usage.store.values import DigestedFrame, NewKey, Registration
from agentspec_usage.wire.heartbeat import HealthPhase, Heartbeat
from agentspec_usage.wire.observed_encoding import Observation
from agentspec_usage.wire.records_encoding import frame_digest
from tests.simulation.laws import hold
from tests.unit.metering.readings import numbered_id

__all__ = ["AGENTS", "MODELS", "Agent", "Instance", "TailWorld"]

START = bucket_of(1_790_000_000_000)
EVER = Span(0, START + 10**6 * BUCKET_MS)

_POD = "pod"


@dataclass(frozen=True, slots=True)
class Agent:
    """As whom something is told."""

    id: str
    namespace: str
    name: str


AGENTS = (
    Agent("agt_" + "0" * 32, "team", "agent"),
    Agent("agt_" + "1" * 32, "team", "bot"),
    Agent("agt_" + "2" * 32, "other", "agent"),
)
"""Who delivers, its other name, and a stranger."""

_AGENT = AGENTS[0]
_NAMESPACES = sorted({agent.namespace for agent in AGENTS})

MODELS = (SeriesKey("openai", "gpt"), SeriesKey("openai", "o3"), SeriesKey("us", "of-our-own"))

_TAMPERING = {
    "a watermark that was raised": "UPDATE instances SET seq = seq + 1 WHERE instance = "
    "(SELECT max(instance) FROM instances)",
    "a period that was taken away": "DELETE FROM periods WHERE end_at = "
    "(SELECT max(end_at) FROM periods)",
    "all periods that were taken away": "DELETE FROM periods",
}
"""What an attacker would gain by, each a statement that leaves everything else as it was."""

_SUMS = ", ".join(f"coalesce(sum({name}), 0)" for name in COMPONENTS)

_CHARGED = (
    "items JOIN instances USING (instance) JOIN accounts USING (account) "
    "JOIN agents ON agents.agent = accounts.agent"
)
"""Items with who is charged."""


@cache
def _charging() -> Charging:
    """Two models with prices, one of which changes while programs run, and one without."""
    return Charging(
        read_price_book(
            """
currency: USD
entries:
  - match: {provider: openai, model: gpt}
    from: 2020-01-01
    tiers: [{aboveInputTokens: 0, input: "3", cachedInput: "0.3", output: "15"}]
  - match: {provider: openai, model: o3}
    from: 2020-01-01
    to: 2026-09-21T15:00:00Z
    tiers: [{aboveInputTokens: 0, input: "2", output: "8"}]
  - match: {provider: openai, model: o3}
    from: 2026-09-21T15:00:00Z
    tiers: [{aboveInputTokens: 0, input: "1", output: "4"}]
""",
            NO_PRICES,
        )
    )


@dataclass
class Instance:
    """A process. ``calls`` is the truth; the first ``released`` of them it does not have any
    more, because the store said that it has them."""

    id: str
    calls: list[UsageRecord] = field(default_factory=list)
    released: int = 0

    def totals(self, seq: int) -> TokenCounts:
        return sum_counts(call.counts for call in self.calls[:seq])

    def snapshot(self, seq: int, shown: int, via: str | None) -> UsageSnapshot:
        """What it answered after its call ``seq``: at most so many rows, and all of the totals."""
        cells: dict[SeriesKey, TokenCounts] = {}
        for call in self.calls[:seq]:
            cells[call.key] = cells.get(call.key, ZERO) + call.counts
        rows = tuple(SeriesRow(key, counts) for key, counts in list(cells.items())[:shown])
        return UsageSnapshot(
            self.totals(seq), rows, instance_id=self.id, observer=Observer.SDK, via=via
        )


@dataclass
class Known:
    """What the world remembers of the store: it goes back in time with it. By namespace, how far
    each instance was seen, and what was seen of each window."""

    furthest: dict[tuple[str, str], int] = field(default_factory=dict)
    windows: dict[tuple[str, int], int] = field(default_factory=dict)
    closed: dict[int, tuple[int, ...]] = field(default_factory=dict)


class TailWorld:
    """One agent: processes, a source that drains windows, a store, and its backup."""

    def __init__(self) -> None:
        self.now = START
        self.instances: list[Instance] = []
        self.database = _in_memory()
        self._backup = _in_memory()
        self._dictionaries = Dictionaries()
        self.known = Known()
        migrate(self.database)
        for agent in AGENTS:
            key = NewKey(agent.id, bytes(32), START)
            of = (agent.id, agent.namespace, agent.name, "k8s", key)
            register_agent(self.database, Registration(*of, old_key_until=0), START)
        self.start()
        self.back_up()

    def close(self) -> None:
        self.database.close()
        self._backup.close()

    def start(self) -> None:
        self.instances.append(Instance(numbered_id(len(self.instances) + 1)))

    def call(self, instance: Instance, model: int, tokens: int, cached: int) -> None:
        counts = TokenCounts(tokens, tokens // 2, min(cached, tokens), calls=1)
        seq = len(instance.calls) + 1
        instance.calls.append(UsageRecord(seq, self.now, MODELS[model], counts))

    def deliver(
        self, instance: Instance, calls: int, pieces: int, *, committed: bool, heard: bool
    ) -> None:
        """A request with the calls that the store lacks, in so many frames."""
        have = durable_seqs(self.database, _AGENT.id, [instance.id])[instance.id]
        frames = []
        if have < instance.released:
            # What was released is gone, and the store that had it went back in time.
            totals = instance.totals(instance.released)
            lost = Frame(instance.id, Observer.SDK, have, instance.released, totals, lost=True)
            frames.append(lost)
            have = instance.released
        last = min(have + calls, len(instance.calls))
        step = max(-(-(last - have) // pieces), 1)
        for since in range(have, last, step):
            until = min(since + step, last)
            items = tuple(instance.calls[since:until])
            totals = instance.totals(until)
            frames.append(Frame(instance.id, Observer.SDK, since, until, totals, items))
        with self._transaction(committed=committed) as connection:
            apply_frames(
                connection,
                self._dictionaries,
                _charging(),
                _AGENT.id,
                [DigestedFrame(one, frame_digest(one)) for one in frames],
                self.now,
            )
        if committed:
            self._seen(instance, last, _AGENT)
            if heard:
                instance.released = max(instance.released, last)

    def tell(
        self,
        instance: Instance,
        seq: int,
        shown: int,
        *,
        seen_at: int | None,
        via: str | None,
        agent: Agent = _AGENT,
    ) -> None:
        """A snapshot of some moment comes: by the operator where it says when it was read."""
        snapshot = instance.snapshot(min(seq, len(instance.calls)), shown, via)
        self._tell(snapshot, seen_at, agent)
        if via is None:
            self._seen(instance, min(seq, len(instance.calls)), agent)

    def tell_window(self, start: int, tokens: int, seen_at: int, agent: Agent = _AGENT) -> None:
        """A window of a source without instances, by the operator."""
        counts = TokenCounts(tokens, calls=tokens)
        row = SeriesRow(MODELS[0], counts)
        self._tell(UsageSnapshot(counts, (row,), window_started_at=start + 1), seen_at, agent)
        known, window = self.known.windows, (agent.namespace, start)
        known[window] = max(known.get(window, 0), tokens)

    def close_period(self, end: int) -> None:
        """Close everything from the end of the newest closed period to ``end``, if that is over."""
        closed = closed_periods(self.database)
        start = closed[-1].period.span.end if closed else 0
        if not start < end <= self.now:
            return
        (shown,) = tails_in(self.database, [Span(start, end)])
        stood = self._estimates()
        with self._transaction() as connection:
            period = Period(f"until {end}", "UTC", Span(start, end))
            close_period(connection, self._dictionaries, _charging(), period, self.now)
        billed = self._estimates().increase_since(stood)
        hold("I10", billed == sum_counts(shown.values()), f"{billed} is billed of {shown}")
        (left,) = tails_in(self.database, [Span(start, end)])
        hold("I10", not left, f"a tail is left in a closed period: {left}")
        self.known.closed[end] = self._sums_in(Span(start, end))

    def settle(self, until: int) -> None:
        with self._transaction() as connection:
            settle_tails(connection, self._dictionaries, _charging(), until, 2, self.now)

    def back_up(self) -> None:
        self.database.backup(self._backup)
        self._known_then = deepcopy(self.known)

    def restore(self) -> None:
        self._backup.backup(self.database)
        self._dictionaries.forget()
        self.known = deepcopy(self._known_then)

    def check(self) -> None:
        """Every law that holds between any two steps."""
        difference = self._difference()
        hold("I12", difference is None, difference)
        for namespace in _NAMESPACES:
            self._check_charged(namespace)
        self._check_one_agent_each()
        self._check_partition()
        self._check_money()
        for end, sums in self.known.closed.items():
            start = max((each for each in self.known.closed if each < end), default=0)
            found = self._sums_in(Span(start, end))
            hold("I13", found == sums, f"the period until {end} had {sums}, has {found}")

    def finish(self) -> None:
        """Everything is delivered: what stands are calls alone, of the agent that delivered."""
        for instance in self.instances:
            self.deliver(instance, len(instance.calls), 2, committed=True, heard=True)
            row = self.database.execute(
                f"SELECT {_SUMS} FROM {_CHARGED} WHERE instance_id = ? AND namespace = ? "
                "AND (kind NOT IN ('record', 'lost') OR name <> ?)",
                (instance.id, _AGENT.namespace, _AGENT.name),
            ).fetchone()
            hold("I4", not any(row), f"estimates of {instance.id} stand: {row}")
            stored = sum_counts(
                TokenCounts(*counts)
                for counts in self.database.execute(
                    f"SELECT {', '.join(COMPONENTS)} FROM items JOIN instances USING (instance) "
                    "WHERE instance_id = ? AND kind IN ('record', 'lost')",
                    (instance.id,),
                )
            )
            hold("I4", stored == instance.totals(len(instance.calls)), f"{stored} is stored")
        self.check()
        self._check_tampering()

    def _difference(self) -> tuple[str, str] | None:
        """What verifying finds beside the rows, which nobody here edits."""
        closings = [batch for batch, *_ in stored_batches(self.database) if batch.closes]
        return first_difference(self.database) or first_changed_period(self.database, closings)

    def _check_tampering(self) -> None:
        """Nothing that is kept beside the rows can be changed without its being found."""
        for what, statement in _TAMPERING.items():
            self.database.execute("SAVEPOINT tampering")
            changed = self.database.execute(statement).rowcount
            found = self._difference()
            self.database.execute("ROLLBACK TO tampering")
            self.database.execute("RELEASE tampering")
            hold("I12", not changed or found is not None, f"{what} is not found")

    def _tell(self, snapshot: UsageSnapshot, seen_at: int | None, agent: Agent) -> None:
        reading = UsageReading((snapshot,))
        with self._transaction() as connection:
            if seen_at is None:
                beat = Heartbeat(HealthPhase.HEALTHY, None, 0, {}, {}, usage=reading)
                keep_heartbeat(connection, self._dictionaries, agent.id, beat, self.now)
            else:
                of = (agent.namespace, agent.name, _POD)
                read = Observation(*of, seen_at=seen_at, reading=reading)
                observe(connection, self._dictionaries, [read], lambda: "1" * 32, self.now)

    def _seen(self, instance: Instance, seq: int, agent: Agent) -> None:
        furthest, which = self.known.furthest, (agent.namespace, instance.id)
        furthest[which] = max(furthest.get(which, 0), seq)

    def _furthest(self, namespace: str, instance: Instance) -> TokenCounts:
        return instance.totals(self.known.furthest.get((namespace, instance.id), 0))

    def _reported(self, namespace: str) -> TokenCounts:
        windows = self.known.windows
        drained = sum(tokens for (of, _), tokens in windows.items() if of == namespace)
        return sum_counts(
            [
                TokenCounts(drained, calls=drained),
                *(self._furthest(namespace, one) for one in self.instances),
            ]
        )

    def _check_charged(self, namespace: str) -> None:
        """All that was ever told in a namespace is charged there once, or is its tail."""
        charged = {
            instance: TokenCounts(*counts)
            for instance, *counts in self.database.execute(
                f"SELECT instance_id, {_SUMS} FROM {_CHARGED} WHERE namespace = ? GROUP BY 1",
                (namespace,),
            )
        }
        of = self.database.execute("SELECT agent FROM agents WHERE namespace = ?", (namespace,))
        (tail,) = tails_in(self.database, [EVER], [agent for (agent,) in of])
        whole, reported = sum_counts([*charged.values(), *tail.values()]), self._reported(namespace)
        hold("I10", whole == reported, f"{whole} of {reported} is charged or tail in {namespace}")
        for one in self.instances:
            most, counts = self._furthest(namespace, one), charged.get(one.id, ZERO)
            hold("I1", most.covers(counts), f"{counts} of {most} is charged")

    def _check_one_agent_each(self) -> None:
        """What a process used is one agent's, under however many names it is known."""
        something = " OR ".join(f"sum({name}) <> 0" for name in COMPONENTS)
        owners: dict[tuple[str, str], set[str]] = {}
        for namespace, instance, name in self.database.execute(
            f"SELECT namespace, instance_id, name FROM {_CHARGED} GROUP BY 1, 2, 3 "
            f"HAVING {something} UNION SELECT namespace, instance_id, name FROM tails "
            "JOIN instances USING (instance) JOIN agents ON agents.agent = tails.agent"
        ):
            owners.setdefault((namespace, instance), set()).add(name)
        for which, names in owners.items():
            hold("I10", len(names) == 1, f"{which} is charged to {names}")

    def _check_partition(self) -> None:
        """The tails of periods that follow one another sum to all of it."""
        (tail,) = tails_in(self.database, [EVER])
        edge = bucket_of(self.now)
        parts = tails_in(self.database, [Span(0, edge), Span(edge, EVER.end)])
        found = sum_counts(counts for part in parts for counts in part.values())
        hold("I10", found == sum_counts(tail.values()), f"periods' tails are {parts} of {tail}")

    def _check_money(self) -> None:
        """What is left of an item is charged what its counts cost by its price, to the last digit.

        Item by item: where the series of calls is not known any more, the tail gives a series the
        part of them that no other claims, and a part may have more cache reads than input. It costs
        what it costs alone, which is not its share of what all parts cost together; so FOCUS gives
        it a row of its own.
        """
        rows = self.database.execute(
            "SELECT prices.card, prices.currency, prices.sku, prices.price_id, prices.above, "
            f"context_class, sum(milli), sum(pico), sum(priced), {_SUMS} FROM items "
            "JOIN prices USING (price) JOIN series USING (series) "
            "GROUP BY coalesce(corrects, item), price, series"
        )
        for card, currency, sku, price_id, above, context_class, milli, pico, priced, *sums in rows:
            counts = TokenCounts(*sums)
            cost = 0
            if card:
                prices = read_card(card, sku=sku, price_id=price_id, currency=currency, above=above)
                made = charge(counts, NO_REQUESTS, prices, context_class)
                cost = made.amount.pico if isinstance(made, Charge) else 0
            found = money_of(milli, pico, currency).pico
            hold("I11", found == cost, f"{counts} cost {cost} by {card}, are charged {found}")
            hold("I11", priced == (counts.calls if card else 0), f"{priced} of {counts} are priced")

    def _estimates(self) -> TokenCounts:
        row = self.database.execute(
            f"SELECT {_SUMS} FROM instance_totals WHERE path = 'estimated'"
        ).fetchone()
        return TokenCounts(*row)

    def _sums_in(self, span: Span) -> tuple[int, ...]:
        row: Sequence[int] = self.database.execute(
            f"SELECT {_SUMS}, coalesce(sum(milli), 0), coalesce(sum(pico), 0) FROM items "
            "WHERE at >= ? AND at < ?",
            (span.start, span.end),
        ).fetchone()
        return tuple(row)

    @contextmanager
    def _transaction(self, *, committed: bool = True) -> Iterator[Connection]:
        self.database.execute("BEGIN")
        try:
            yield self.database
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT" if committed else "ROLLBACK")
        if not committed:
            self._dictionaries.forget()


def _in_memory() -> SqliteConnection:
    return sqlite3.connect(":memory:", isolation_level=None, factory=SqliteConnection)
