"""Whatever is delivered twice, late, out of order or never answered, and however often the database
goes back in time: in the end an instance's items add up to what it used.

The shipped outbox and the shipped SQL, without threads: a failing program shrinks to a few steps.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.buffer import BufferLimits
from agentspec_usage.metering.counts import COMPONENTS, ZERO, TokenCounts
from agentspec_usage.metering.frame import SealedFrame
from agentspec_usage.metering.outbox import Outbox
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.store.sql.agents import register_agent
from agentspec_usage.store.sql.charging import NO_PRICES, Charging
from agentspec_usage.store.sql.dictionaries import Dictionaries
from agentspec_usage.store.sql.frames import apply_frames
from agentspec_usage.store.sql.instances import durable_seqs
from agentspec_usage.store.sqlite.connection import SqliteConnection
from agentspec_usage.store.sqlite.opening import migrate
from agentspec_usage.store.values import Applied, DigestedFrame
from agentspec_usage.wire.records import decode_frame
from agentspec_usage.wire.records_encoding import encode_frame, frame_digest
from tests.unit.store.values import INSTANCE, NOW, record, registration

AGENT = registration().agent_id
SUMS = ", ".join(f"coalesce(sum({name}), 0)" for name in COMPONENTS)

STEPS = st.one_of(
    st.tuples(st.just("call"), st.integers(1, 9)),
    st.tuples(st.just("send"), st.booleans()),
    st.tuples(st.just("repeat"), st.integers(0, 50)),
    st.tuples(st.sampled_from(["back up", "restore", "undo"]), st.none()),
)


class Delivery:
    """One instance, one database, and every frame that was ever sent."""

    def __init__(self, database: SqliteConnection, backup: SqliteConnection) -> None:
        self._database = database
        self._backup = backup
        self._dictionaries = Dictionaries()
        self._charging = Charging(NO_PRICES)
        self._sent: list[SealedFrame] = []
        limits = BufferLimits(records=6, aggregates=4, frame_items=4)
        self.outbox = Outbox(INSTANCE, Observer.SDK, encode_frame, limits)
        self.truth = ZERO

    def take(self, step: str, argument: int | bool | None) -> None:
        match step:
            case "call":
                for _ in range(argument or 0):
                    call = record(self.outbox.last + 1)
                    self.truth += call.counts
                    self.outbox.append(call)
            case "send":
                self.send(answered=bool(argument))
            case "repeat" if self._sent:
                self._apply(self._sent[(argument or 0) % len(self._sent)])
            case "undo":
                self.send(answered=False, committed=False)
            case "back up":
                self._database.backup(self._backup)
            case "restore":
                self._backup.backup(self._database)
                self._dictionaries.forget()

    def send(self, *, answered: bool, committed: bool = True) -> None:
        """Send what is to be sent; take the answer in if it comes back."""
        sealed = self.outbox.to_send()
        if sealed is None:
            return
        self._sent.append(sealed)
        applied = self._apply(sealed, committed=committed)
        if not answered:
            return
        if INSTANCE in applied.answers.gaps:
            self.outbox.stands_at(applied.answers.gaps[INSTANCE])
        else:
            self.outbox.acknowledged(sealed, applied.answers.durable[INSTANCE])

    def _apply(self, sealed: SealedFrame, *, committed: bool = True) -> Applied:
        frame = decode_frame(sealed.body)
        self._database.execute("BEGIN")
        applied = apply_frames(
            self._database,
            self._dictionaries,
            self._charging,
            AGENT,
            [DigestedFrame(frame, frame_digest(frame))],
            NOW,
        )
        self._database.execute("COMMIT" if committed else "ROLLBACK")
        if not committed:
            self._dictionaries.forget()
        return applied

    def stands_at(self) -> int:
        """What a heartbeat would be answered."""
        return durable_seqs(self._database, AGENT, [INSTANCE])[INSTANCE]

    def totals(self) -> tuple[TokenCounts, TokenCounts]:
        """The items added up, and the total kept beside them."""
        items = self._database.execute(f"SELECT {SUMS} FROM items").fetchone()
        applied = self._database.execute(
            f"SELECT {SUMS} FROM instance_totals WHERE path = 'applied'"
        ).fetchone()
        return TokenCounts(*items), TokenCounts(*applied)


def _in_memory() -> SqliteConnection:
    return sqlite3.connect(":memory:", isolation_level=None, factory=SqliteConnection)


@contextmanager
def delivery() -> Iterator[Delivery]:
    with (
        closing(_in_memory()) as database,
        closing(_in_memory()) as backup,
    ):
        migrate(database)
        register_agent(database, registration(), NOW)
        database.backup(backup)
        yield Delivery(database, backup)


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_what_is_stored_converges_to_what_was_used(
    steps: list[tuple[str, int | bool | None]],
) -> None:
    with delivery() as run:
        for step, argument in steps:
            run.take(step, argument)
            items, applied = run.totals()
            assert items == applied, "the total beside the items is not their sum"
            assert run.truth.covers(items), "more is stored than was used"
        run.outbox.finish()
        for _ in range(200):
            if run.outbox.settled:
                break
            run.send(answered=True)
        assert run.outbox.settled
        # Somebody who went back after the last answer is told by the next one (a heartbeat).
        run.outbox.stands_at(run.stands_at())
        run.send(answered=True)
        items, applied = run.totals()
        assert items == applied == run.truth
