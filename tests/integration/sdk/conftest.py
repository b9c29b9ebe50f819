"""A provider, and the ledger of the agent that calls it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentspec_usage.sdk import UsageLedger
from tests.integration.sdk.heard import Heard
from tests.integration.sdk.provider_server import ProviderServer, provider_server


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with provider_server() as server:
        yield server


@pytest.fixture
def ledger() -> UsageLedger:
    return UsageLedger()


@pytest.fixture
def heard(ledger: UsageLedger) -> Heard:
    """Every record that the ledger counted."""
    sink = Heard()
    ledger.attach(sink)
    return sink
