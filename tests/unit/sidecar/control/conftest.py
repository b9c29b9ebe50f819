"""A sidecar of this process, and a client on its loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.unit.sidecar.control.ports import Sidecar, a_sidecar, spoken_to


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    running = a_sidecar(tmp_path)
    yield running
    running.close()


@pytest.fixture
async def http(sidecar: Sidecar) -> AsyncIterator[httpx.AsyncClient]:
    async with spoken_to(sidecar) as client:
        yield client
