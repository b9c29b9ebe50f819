"""What these tests ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.controlplane.processes import ControlPlane, control_plane


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane with what makes a test wait made short, and no limit that load would meet."""
    with control_plane(
        tmp_path,
        "--commit-wait=0.3",
        "--heartbeat-interval=0",
        "--request-rate=100000",
        "--request-burst=100000",
    ) as running:
        yield running
