"""Making the tables, and bringing them to this program's version.

They are in the schema in which the server makes tables for the URL's user: ``public`` as a rule, or
the one that the URL names (``?options=-csearch_path%3Dusage``). ``store_version`` says how many
steps it has taken. Of several programs that start at once one takes the steps and the others wait
for it; a step that fails leaves nothing behind.
"""

from __future__ import annotations

import psycopg

from agentspec_usage.runtime.ids import draw_128_bits
from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.postgresql.address import Address
from agentspec_usage.store.postgresql.connection import PostgresConnection
from agentspec_usage.store.postgresql.sessions import MIGRATION, VERIFIER, connect
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.schema import APPLICATION_ID, MIGRATIONS, VERSION

__all__ = ["migrate", "open_verified", "prepare", "told"]

_VERSION_TABLE = """
CREATE TABLE store_version (
    application INTEGER PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT;
"""

_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relname IN ('items', 'store_version')"""


def prepare(address: Address) -> None:
    """Make the tables if there are none, and bring them to this program's version.

    Raises ``StoreUnusableError`` where that cannot be.
    """
    connection = PostgresConnection(lambda: connect(address, MIGRATION))
    try:
        migrate(connection)
    except psycopg.Error as error:
        raise StoreUnusableError(f"{address}: {told(error)}") from error
    except StoreUnusableError as error:
        raise StoreUnusableError(f"{address}: {error}") from error
    finally:
        connection.close()


def migrate(connection: PostgresConnection, upto: int = VERSION) -> None:
    """Take the steps that the database has not taken, up to version ``upto``; all or none."""
    connection.begin("READ WRITE")
    try:
        _check_place(connection)
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), ?))",
            (APPLICATION_ID,),
        )
        version = _version(connection)
        if version > VERSION:
            raise StoreUnusableError(
                f"the database is of version {version}, this program knows up to {VERSION}: "
                "run the newer program, or restore the backup made before it"
            )
        if version < upto:
            _take_steps(connection, version, upto)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.close()
        raise


def open_verified(address: Address) -> PostgresConnection:
    """A connection to a database that is of this program and of its version, for reading alone.

    Raises ``StoreUnusableError`` for another one: nothing is migrated, evidence is only read.
    """
    connection = PostgresConnection(lambda: connect(address, VERIFIER))
    try:
        connection.begin("READ ONLY")
        _check_place(connection)
        version = _version(connection)
        connection.execute("COMMIT")
    except psycopg.Error as error:
        connection.close()
        raise StoreUnusableError(f"{address}: {told(error)}") from error
    except StoreUnusableError as error:
        connection.close()
        raise StoreUnusableError(f"{address}: {error}") from error
    if version != VERSION:
        connection.close()
        raise StoreUnusableError(
            f"{address}: expected a usage database of version {VERSION}, found version {version}: "
            "start the control plane of this version on it once"
        )
    return connection


def _check_place(connection: Connection) -> None:
    schema, encoding = connection.execute(
        "SELECT current_schema(), current_setting('server_encoding')"
    ).fetchone()
    if schema is None:
        raise StoreUnusableError("expected a schema to keep tables in: none of search_path exists")
    if encoding != "UTF8":
        raise StoreUnusableError(f"expected a database whose encoding is UTF8, found {encoding}")


def _version(connection: Connection) -> int:
    """How many steps the database has taken."""
    tables = {name for (name,) in connection.execute(_TABLES)}
    if "store_version" not in tables:
        if tables:
            raise StoreUnusableError("expected a usage store: these are another program's tables")
        return 0
    row = connection.execute(
        "SELECT version FROM store_version WHERE application = ?", (APPLICATION_ID,)
    ).fetchone()
    if row is None:
        raise StoreUnusableError("expected a usage store: these are another program's tables")
    return int(row[0])


def _take_steps(connection: Connection, version: int, upto: int) -> None:
    for step in (*(() if version else (_VERSION_TABLE,)), *MIGRATIONS[version:upto]):
        for statement in connection.dialect.statements(step):
            connection.execute(statement)
    connection.execute(
        "INSERT INTO ledger SELECT 1, ?, 1 WHERE NOT EXISTS (SELECT 1 FROM ledger)",
        (draw_128_bits(),),
    )
    connection.execute(
        "INSERT INTO store_version VALUES (?, ?) "
        "ON CONFLICT (application) DO UPDATE SET version = excluded.version",
        (APPLICATION_ID, upto),
    )


def told(error: psycopg.Error) -> str:
    """The first line of what the server said: the others quote rows."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
