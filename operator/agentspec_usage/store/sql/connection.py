"""What a statement is run on: the little that the two databases' drivers have in common."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Protocol

from agentspec_usage.store.proof.verified import Verified
from agentspec_usage.store.sql.dialect import Dialect

__all__ = ["Connection", "Database", "Rows"]


class Rows(Protocol):
    """What a statement found."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection that is used by one thread at a time. Marks in statements are ``?``."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Rows: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object: ...

    def insert(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]], /
    ) -> None:
        """Insert many rows, by whatever way is the fastest here."""
        ...

    def stream(self, sql: str, values: Sequence[Any] = ..., /) -> Generator[Any, None, None]:
        """Rows that need not fit into memory. Whoever keeps it reads it to its end or closes it:
        one that is closed when it is found by chance that nobody needs it any more waits for ever
        for the statement that is under way then.
        """
        ...

    def close(self) -> None: ...


class Database(Protocol):
    """Where connections come from, and what their failures mean."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises."""
        ...

    def writer(self) -> Connection:
        """A connection that may write. Called in the thread that uses it."""
        ...

    def reader(self) -> Connection:
        """A connection that cannot write."""
        ...

    def begin_writing(self, connection: Connection) -> None:
        """Begin a transaction, as the only one that writes until it ends."""
        ...

    def begin_reading(self, connection: Connection) -> None:
        """Begin a transaction that sees one moment."""
        ...

    def closing(self, connection: Connection) -> None:
        """What a writer does last, before it closes."""
        ...

    def is_lost(self, error: Exception) -> bool:
        """Whether the whole transaction is lost with ``error``, and not one job of it."""
        ...

    def reason(self, error: Exception) -> str:
        """The error's name, for logs and metrics: nothing of what was stored is in it."""
        ...

    def verify(self, progress: Callable[[int], None]) -> Verified:
        """Read the whole journal again, on a connection of its own. Takes long."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
