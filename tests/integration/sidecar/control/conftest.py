"""A sidecar without a proxy, whose exchanges the tests tell of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.sidecar.control.ports import Sidecar, a_sidecar


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    running = a_sidecar(tmp_path, softTokens=1000, hardTokens=10**12)
    yield running
    running.close()
