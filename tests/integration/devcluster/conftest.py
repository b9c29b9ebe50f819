"""What the tests of clusters share."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentspec_usage.devcluster import Binaries
from agentspec_usage.devcluster.state import APISERVER, ETCD


@pytest.fixture
def assets(binaries: Binaries, tmp_path: Path) -> Path:
    """One directory with both servers, wherever they come from."""
    directory = tmp_path / "assets"
    directory.mkdir()
    for name, path in binaries.ensure((ETCD, APISERVER)).items():
        (directory / name).symlink_to(path)
    return directory
