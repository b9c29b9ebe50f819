"""The operator's scraper reads a sidecar's ``/usage``, and what it decodes is what was counted."""

from __future__ import annotations

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.scrape.http import HttpScraper, ScrapeSettings
from agentspec_usage.scrape.outcome import Read, Target
from agentspec_usage.wire.usage import decode_usage
from tests.integration.sidecar.control.served import served
from tests.unit.sidecar.control.ports import Sidecar


@pytest.mark.parametrize("path", ["/usage", "/agentspec/usage"])
@pytest.mark.parametrize("models", [0, 1, 3000], ids=["nothing used", "one model", "many models"])
async def test_a_scrape_reads_the_pod_s_totals(sidecar: Sidecar, path: str, models: int) -> None:
    for number in range(models):
        key = SeriesKey("openai", f"model-{number}")
        sidecar.ledger.counts[key] = TokenCounts(input=100 + number, output=20, calls=1)
    scraper = HttpScraper(ScrapeSettings(allow_loopback=True), decode_usage, SystemClock())
    async with served(sidecar) as control:
        outcome = await scraper.scrape(Target("127.0.0.1", control.port, path))
    assert isinstance(outcome, Read), outcome
    (snapshot,) = outcome.reading.snapshots
    assert snapshot.totals == sidecar.ledger.snapshot().totals
    assert snapshot.observer is Observer.SIDECAR
    assert snapshot.instance_id == sidecar.ledger.snapshot().instance_id
    # Of 3,000 models the least used have no room, and their tokens are in the totals all the same.
    assert snapshot.rows_complete == (models < 3000)
