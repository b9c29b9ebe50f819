"""A control plane in this process: the shipped application on a real store, spoken to by httpx."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentspec_usage.controlplane.settings import ControlPlaneSettings
from tests.unit.controlplane.planes import Plane, running_plane


@pytest.fixture
def settings() -> ControlPlaneSettings:
    return ControlPlaneSettings(request_rate=1000, request_burst=1000)


@pytest.fixture
async def plane(tmp_path: Path, settings: ControlPlaneSettings) -> AsyncIterator[Plane]:
    async with running_plane(tmp_path / "usage.db", settings) as running:
        yield running
