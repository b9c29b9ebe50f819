from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.sidecar.ledger.upstream import Upstream, upstream_server


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with upstream_server() as server:
        yield server
