"""Verifying a database on a server, also beside control planes that use it.

Whether the tables are as this program makes them is asked of the server itself: it makes them once
more, as temporary ones that are gone with the transaction, and describes both. So what is compared
is its own spelling with its own, whatever its version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager

import psycopg

from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.postgresql.address import Address
from agentspec_usage.store.postgresql.connection import ONE_MOMENT, PostgresConnection
from agentspec_usage.store.postgresql.opening import open_verified, told
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.proof.verified import Verified
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.rollups import BUCKETS, DAYS
from agentspec_usage.store.sql.schema import MIGRATIONS
from agentspec_usage.store.sql.verifying import Helpers, verify

__all__ = ["PostgresChecks", "reading_server", "verify_server"]

_FACTS = """
    WITH own AS (
        SELECT oid, relname, relrowsecurity FROM pg_class
        WHERE relnamespace = ? AND relkind IN ('r', 'p'))
    SELECT 'table', relname, string_agg(
        concat_ws(' ', attname, format_type(atttypid, atttypmod), attcollation::regcollation,
            attnotnull, attidentity, attgenerated, pg_get_expr(adbin, adrelid)),
        ', ' ORDER BY attnum)
    FROM own JOIN pg_attribute ON attrelid = own.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum GROUP BY relname
    UNION ALL SELECT 'constraint', conname || ' of ' || relname, pg_get_constraintdef(con.oid, true)
    FROM own JOIN pg_constraint AS con ON conrelid = own.oid WHERE contype <> 'n'
    UNION ALL SELECT 'index', made.relname,
        CASE WHEN indisvalid AND indisready THEN pg_get_indexdef(indexrelid, 0, true) END
    FROM own JOIN pg_index ON indrelid = own.oid JOIN pg_class AS made ON made.oid = indexrelid
    UNION ALL SELECT 'trigger', tgname || ' of ' || relname, ''
    FROM own JOIN pg_trigger ON tgrelid = own.oid WHERE NOT tgisinternal
    UNION ALL SELECT 'rule', rulename || ' of ' || relname, ''
    FROM own JOIN pg_rewrite ON ev_class = own.oid
    UNION ALL SELECT 'row security', 'of ' || relname, '' FROM own WHERE relrowsecurity
    UNION ALL SELECT 'child', 'of ' || relname, '' FROM own JOIN pg_inherits ON inhparent = own.oid
    ORDER BY 1, 2"""
"""Everything that decides which rows a statement of ours reads or writes. Foreign keys work by
triggers that are internal; that columns are NOT NULL is told with the columns."""

_CHANGES_ROWS = ("trigger", "rule", "row security", "child")

_NO_TEMPORARY_TABLES = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.FeatureNotSupported,
)

Facts = dict[tuple[str, str], str | None]


class PostgresChecks:
    """What the server can say of the tables, seen from ``connection`` before it reads them.

    Raises ``StoreUnusableError`` where it may not make temporary tables.
    """

    def __init__(self, connection: PostgresConnection) -> None:
        self._expected = _expected(connection)

    def schema(self, connection: Connection) -> str:
        found = _facts(connection, "current_schema()::regnamespace")
        for name, fact in found.items():
            if name[0] in _CHANGES_ROWS or self._expected.get(name, fact) != fact:
                return " ".join(name)
        return next((" ".join(name) for name in self._expected if name not in found), "")

    def indexes(self, connection: Connection) -> Iterable[tuple[str, str]]:
        for table, column in (("items", "at"), (BUCKETS, "start"), (DAYS, "start")):
            sums = f"SELECT count(*), sum({column}) FROM {table} WHERE {column} >= 0"
            connection.execute("SET LOCAL enable_seqscan = off")
            by_index = connection.execute(sums).fetchone()
            connection.execute("SET LOCAL enable_seqscan = on")
            for way in ("indexscan", "indexonlyscan", "bitmapscan"):
                connection.execute(f"SET LOCAL enable_{way} = off")
            by_table = connection.execute(sums).fetchone()
            for way in ("indexscan", "indexonlyscan", "bitmapscan"):
                connection.execute(f"SET LOCAL enable_{way} = on")
            if by_index != by_table:
                yield table, f"its index by {column} finds {by_index[0]} of {by_table[0]} rows"

    def garbled(self, error: Exception) -> bool:
        """False: the server keeps no text that is none."""
        return False


def verify_server(
    address: Address,
    *,
    is_signed: Callable[[SignedCheckpoint], bool] | None = None,
    kept: Sequence[SignedCheckpoint] = (),
    progress: Callable[[int], None] = lambda rows: None,
    helpers: Helpers | None = None,
) -> Verified:
    """Verify the database at ``address``. Raises ``StoreUnusableError`` where it cannot be read."""
    with _named(address, open_verified(address)) as connection:
        checks = PostgresChecks(connection)
        connection.begin(ONE_MOMENT)
        return verify(
            connection,
            checks,
            is_signed=is_signed,
            kept=kept,
            progress=progress,
            helpers=helpers,
        )


@contextmanager
def reading_server(address: Address) -> Iterator[PostgresConnection]:
    """One moment of the database at ``address``; also of a standby.

    Raises ``StoreUnusableError`` where it cannot be read.
    """
    with _named(address, open_verified(address)) as connection:
        connection.begin(ONE_MOMENT)
        yield connection


@contextmanager
def _named(address: Address, connection: PostgresConnection) -> Iterator[PostgresConnection]:
    """``connection``, whose failures say where it is connected to."""
    with closing(connection):
        try:
            yield connection
        except psycopg.Error as error:
            raise StoreUnusableError(f"{address}: {told(error)}") from error


def _expected(connection: PostgresConnection) -> Facts:
    try:
        connection.begin("READ WRITE")
        connection.execute("SET LOCAL search_path = pg_temp")
        for step in MIGRATIONS:
            for statement in connection.dialect.statements(step):
                connection.execute(statement)
        found = _facts(connection, "pg_my_temp_schema()")
        connection.execute("ROLLBACK")
    except _NO_TEMPORARY_TABLES as error:
        raise StoreUnusableError(
            "expected a user who may make temporary tables, at a server that is no standby: "
            "the tables are compared with ones that are made for it"
        ) from error
    return found


def _facts(connection: Connection, schema: str) -> Facts:
    rows = connection.execute(_FACTS.replace("?", schema, 1))
    return {(kind, name): fact for kind, name, fact in rows}
