"""A store of a test's own, once in a file and once on a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from agentspec_usage.store.opening import open_store
from agentspec_usage.store.proof.signing import Signer, read_signer
from agentspec_usage.store.sql.store import SqlStore
from tests.fixtures.postgresql import schemas
from tests.unit.store.ledgers import PRIVATE, Ledger, checks_of, fill


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a SQLite database may be made, for what only SQLite does."""
    return tmp_path / "usage.db"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], str]]:
    """Says where a database may be made, a path or a URL, which is another one each time."""
    if request.param == "sqlite":
        directory = tmp_path_factory.mktemp("databases")
        numbers = count(1)
        yield lambda: str(directory / f"{next(numbers)}" / "usage.db")
        return
    with schemas(request.getfixturevalue("postgresql_server")) as make:
        yield make


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """Where a database may be made."""
    return new_database()


@pytest.fixture
def store(database: str) -> Iterator[SqlStore]:
    opened = open_store(database)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    path = tmp_path_factory.mktemp("key") / "signing.pem"
    path.write_bytes(PRIVATE)
    return read_signer(path)


@pytest.fixture(scope="module")
def ledger(signer: Signer, new_database: Callable[[], str]) -> Ledger:
    database = new_database()
    kept = asyncio.run(fill(database, signer))
    return Ledger(database, checks_of(database), kept)
