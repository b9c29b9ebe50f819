"""A ledger to change in every way, and what verifying says of it then."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricebook.price_file import read_price_book
from agentspec_usage.store.opening import is_url, open_store
from agentspec_usage.store.postgresql.address import read_address
from agentspec_usage.store.postgresql.connection import PostgresConnection
from agentspec_usage.store.postgresql.sessions import MIGRATION, connect
from agentspec_usage.store.postgresql.verified import PostgresChecks
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.proof.signing import Signer, new_key_pair, signed_by
from agentspec_usage.store.proof.verified import Verified
from agentspec_usage.store.sql.charging import NO_PRICES
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.verifying import Checks, verify
from agentspec_usage.store.sqlite.connection import SqliteConnection
from agentspec_usage.store.sqlite.verified import SqliteChecks
from tests.unit.store.values import NOW, apply, frame, register

__all__ = ["BOOK", "PRIVATE", "Ledger", "call", "checks_of", "fill", "good"]

PRIVATE, PUBLIC = new_key_pair()
PUBLIC_KEY = serialization.load_pem_public_key(PUBLIC)

BOOK = read_price_book(
    """
currency: USD
entries:
  - match: {provider: openai, model: "gpt-*"}
    tiers: [{aboveInputTokens: 0, input: "3", output: "15", requests: {web_search: "10000"}}]
""",
    NO_PRICES,
)


def good(signed: SignedCheckpoint) -> bool:
    return signed_by(signed, PUBLIC_KEY)  # type: ignore[arg-type]


def call(seq: int) -> UsageRecord:
    context = CallContext(user="ann", session="s") if seq % 2 else CallContext()
    return UsageRecord(
        seq,
        NOW - seq,
        SeriesKey("openai", f"gpt-{seq % 3}"),
        TokenCounts(input=100 * seq, output=seq, calls=1),
        requests={"web_search": seq},
        context=context,
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """A database in a transaction that nobody commits, and what verifying says within it."""

    connection: Connection
    checks: Checks

    def change(self, *statements: str, values: tuple[object, ...] = ()) -> None:
        for statement in statements:
            self.connection.execute(statement, values)

    def verified(
        self, *kept: SignedCheckpoint, is_signed: Callable[[SignedCheckpoint], bool] = good
    ) -> Verified:
        return verify(self.connection, self.checks, is_signed=is_signed, kept=kept)

    def found(self, *kept: SignedCheckpoint) -> str:
        finding = self.verified(*kept).finding
        return "" if finding is None else str(finding)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A database, and a checkpoint of it that was kept outside."""

    database: str
    checks: Checks
    kept: SignedCheckpoint

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        """For changing by somebody whom no rule stops. After the block it is as it was."""
        with closing(self._connected()) as connection:
            yield Opened(connection, self.checks)
            connection.execute("ROLLBACK")

    def _connected(self) -> Connection:
        if not is_url(self.database):
            file = sqlite3.connect(self.database, isolation_level=None, factory=SqliteConnection)
            file.execute("PRAGMA foreign_keys = OFF")
            file.execute("PRAGMA ignore_check_constraints = ON")
            file.execute("BEGIN")
            return file
        server = connected(self.database)
        server.begin("READ WRITE")
        server.execute("SET LOCAL session_replication_role = replica")
        return server


def connected(url: str) -> PostgresConnection:
    address = read_address(url)
    return PostgresConnection(lambda: connect(address, MIGRATION))


def checks_of(database: str) -> Checks:
    if not is_url(database):
        return SqliteChecks()
    with closing(connected(database)) as connection:
        return PostgresChecks(connection)


async def fill(database: str, signer: Signer) -> SignedCheckpoint:
    """Twelve rows in four batches."""
    store = open_store(database, book=BOOK)
    try:
        agent = await register(store)
        for since in (0, 3, 6):
            items = [call(seq) for seq in range(since + 1, since + 4)]
            totals = TokenCounts(input=1, calls=1)
            await apply(store, agent, frame(since, since + 3, *items, totals=totals))
        assert await store.sign_head(signer, NOW) is not None
        items = [call(seq) for seq in range(10, 13)]
        await apply(store, agent, frame(9, 12, *items, totals=TokenCounts(input=1, calls=1)))
        signed = await store.sign_head(signer, NOW + 1)
        assert signed is not None
        assert await store.sign_head(signer, NOW + 2) is None
        return signed
    finally:
        store.close()
