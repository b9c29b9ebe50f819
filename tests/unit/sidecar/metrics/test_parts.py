"""/metrics has what the parts count themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from agentspec_usage.sidecar.calls import LedgerFacts, ProxiedRequest, Refusal
from tests.unit.sidecar.control.ports import Sidecar, a_sidecar, push, spoken_to
from tests.unit.sidecar.proxied import a_request, chat_facts


async def scraped(sidecar: Sidecar) -> httpx.Response:
    async with spoken_to(sidecar) as http:
        return await http.get("/metrics")


async def test_every_part_is_there_from_the_start(tmp_path: Path) -> None:
    sidecar = a_sidecar(tmp_path, hardTokens=5)
    text = (await scraped(sidecar)).text
    sidecar.close()
    for name in (
        "ledger_durable 1.0",
        "ledger_fault 0.0",
        "ledger_file_bytes 0.0",
        "ledger_calls_total 0.0",
        "ledger_lost_events_total 0.0",
        "forward_failures_total 0.0",
        "ring_overwrites_total 0.0",
        'usage_log_dropped_total{reason="disk"} 0.0',
        'usage_log_dropped_total{reason="queue"} 0.0',
        'budget_limit{threshold="hardTokens"} 5.0',
        'budget_refused_total{threshold="hardTokens"} 0.0',
        'exchanges_ended_total{by="shutdown"} 0.0',
    ):
        assert f"\nagentspec_sidecar_{name}\n" in text
    assert "\nagentspec_usage_build_info{" in text
    assert "forward_backlog" not in text  # there is no control plane


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
async def test_the_form_is_what_the_asker_wants(tmp_path: Path, accept: str) -> None:
    sidecar = a_sidecar(tmp_path)
    async with spoken_to(sidecar) as http:
        answer = await http.get("/metrics", headers={"Accept": accept})
    sidecar.close()
    kind = accept.partition(";")[0] or "text/plain"
    assert answer.headers["content-type"].startswith(kind)
    assert answer.text.endswith("# EOF\n") is bool(accept)


def test_the_numbers_are_those_of_the_parts(tmp_path: Path) -> None:
    sidecar = a_sidecar(tmp_path, ring_size=2, softTokens=100, hardTokens=300)
    for number in range(3):
        sidecar.exchange(f"r{number}", facts=chat_facts(output_limit=10))
    under_way = a_request("r3", facts=chat_facts(output_limit=0))
    refused = sidecar.budget.admit(under_way)
    assert isinstance(refused, Refusal)
    facts = LedgerFacts("a" * 32, durable_file=False, fault="full", lost_events=4)
    sidecar.ledger.facts_now = replace(facts, backlog=12)
    sidecar.close()
    assert sidecar.counted("ring_overwrites_total") == 1
    assert sidecar.counted("ring_entries") == 2
    assert sidecar.counted("usage_log_lines_total") == 3
    assert sidecar.counted("budget_used_tokens") == 360
    assert sidecar.counted("budget_used_requests") == 3
    assert sidecar.counted("budget_reached", threshold="softTokens") == 1
    assert sidecar.counted("budget_refused_total", threshold="hardTokens") == 1
    assert sidecar.counted("ledger_durable") == 0
    assert sidecar.counted("ledger_fault") == 1
    assert sidecar.counted("ledger_lost_events_total") == 4
    assert sidecar.counted("forward_backlog_calls") == 12


async def test_events_that_were_left_out_are_counted(tmp_path: Path) -> None:
    sidecar = a_sidecar(tmp_path)
    async with spoken_to(sidecar) as http:
        await http.post("/events", content=push("r", {"type": "of tomorrow"}, {"type": "memory"}))
    assert sidecar.counted("events_not_understood_total") == 1
    assert sidecar.counted("early_requests") == 1
    sidecar.close()


def test_reservations_are_shown_while_calls_are_under_way(tmp_path: Path) -> None:
    sidecar = a_sidecar(tmp_path, hardTokens=1000)
    request: ProxiedRequest = a_request("r", facts=chat_facts(output_limit=400))
    sidecar.begin(request)
    assert sidecar.counted("budget_reserved_tokens") == 400
    assert sidecar.counted("budget_under_way") == 1
    sidecar.close()
