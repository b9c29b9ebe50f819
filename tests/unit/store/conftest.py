"""A store on a disk of its own, and frames to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentspec_usage.store.sqlite.store import SqliteStore


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


@pytest.fixture
def store(database: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(database)
    yield opened
    opened.close()
