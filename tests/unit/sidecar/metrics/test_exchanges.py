"""What Prometheus is told of exchanges: sums that are right, and labels that are bounded."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from agentspec_usage.extraction.values import Extraction
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sidecar.calls import EndedBy
from agentspec_usage.sidecar.metrics.exchanges import MAX_FIELDS, MAX_MODELS, ExchangeMetrics
from tests.unit.sidecar.proxied import a_call, a_request, an_end


class Watched:
    """Exchange metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = ExchangeMetrics(self.registry)

    def tell(self, *calls: Any, **end: Any) -> None:
        request = a_request()
        self.metrics.began(request)
        self.metrics.ended(request, an_end(*calls, **end), calls)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"agentspec_sidecar_{name}", labels) or 0.0

    def labels(self, name: str, label: str) -> set[str]:
        return {
            sample.labels[label]
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == f"agentspec_sidecar_{name}"
        }


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_token_types_have_nothing_in_common_and_sum_to_the_total(watched: Watched) -> None:
    parts = {"cache_read": 60, "cache_write_5m": 10, "cache_write_1h": 5, "reasoning": 8}
    watched.tell(a_call(100, 20, counts=parts))
    of = {"provider": "openai", "model": "gpt-5"}
    found = {
        kind: watched.value("tokens_total", type=kind, **of)
        for kind in watched.labels("tokens_total", "type")
    }
    assert found == {
        "input_uncached": 25,
        "input_cache_read": 60,
        "input_cache_write": 15,
        "output_reasoning": 8,
        "output_other": 12,
    }
    assert sum(found.values()) == 120
    assert watched.value("calls_total", **of) == 1


@pytest.mark.parametrize(
    ("status", "shown"), [(200, "2xx"), (101, "1xx"), (429, "4xx"), (503, "5xx"), (None, "none")]
)
def test_requests_are_counted_by_provider_surface_and_class(
    watched: Watched, status: int | None, shown: str
) -> None:
    watched.tell(status=status)
    labels = {"provider": "openai", "surface": "openai.chat", "status": shown}
    assert watched.value("requests_total", **labels) == 1


def test_a_refusal_is_counted_by_what_the_client_saw(watched: Watched) -> None:
    watched.tell(status=None, extraction=None, ended_by=EndedBy.REFUSED, sent=False)
    labels = {"provider": "openai", "surface": "openai.chat", "status": "4xx"}
    assert watched.value("requests_total", **labels) == 1
    assert watched.value("unmetered_calls_total", provider="openai") == 0


def test_a_request_on_no_metered_surface_is_a_request_and_no_call(watched: Watched) -> None:
    watched.metrics.ended(a_request(facts=None), an_end(extraction=None), [])
    assert watched.value("requests_total", provider="", surface="", status="2xx") == 1
    assert watched.labels("calls_total", "model") == set()
    assert watched.value("unmetered_calls_total", provider="") == 0


def test_doubts_are_counted(watched: Watched) -> None:
    doubtful = Extraction(unmetered=True, mismatches=2, unknown_fields=("new_tokens",))
    watched.tell(extraction=doubtful, injected=True)
    watched.tell(a_call(status=CallStatus.ABORTED), ended_by=EndedBy.CLIENT)
    watched.tell(status=None, extraction=None, ended_by=EndedBy.TIMEOUT)
    assert watched.value("unmetered_calls_total", provider="openai") == 2
    assert watched.value("usage_mismatches_total", provider="openai") == 2
    assert watched.value("unknown_usage_fields_total", provider="openai", field="new_tokens") == 1
    assert watched.value("usage_asked_total", provider="openai") == 1
    assert watched.value("aborted_calls_total", provider="openai") == 1
    assert watched.value("exchanges_ended_total", by="client") == 1
    assert watched.value("exchanges_ended_total", by="timeout") == 1
    assert watched.value("exchanges_ended_total", by="upstream") == 1


def test_models_are_bounded_and_keep_their_label(watched: Watched) -> None:
    for number in range(MAX_MODELS + 50):
        watched.tell(a_call(10, 0, key=SeriesKey("openai", f"m{number}")))
    watched.tell(a_call(10, 0, key=SeriesKey("openai", "m0")))
    assert len(watched.labels("tokens_total", "model")) == MAX_MODELS + 1
    of = {"provider": "openai", "type": "input_uncached"}
    assert watched.value("tokens_total", model="__other__", **of) == 500
    assert watched.value("tokens_total", model="m0", **of) == 20


def test_unknown_fields_are_bounded(watched: Watched) -> None:
    for number in range(MAX_FIELDS + 7):
        watched.tell(extraction=Extraction(unknown_fields=(f"f{number}",)))
    assert len(watched.labels("unknown_usage_fields_total", "field")) == MAX_FIELDS + 1


def test_a_model_s_name_cannot_break_a_line(watched: Watched) -> None:
    watched.tell(a_call(key=SeriesKey("openai", 'm"} 1\nforged_total 9\n' + "x" * 500)))
    text = generate_latest(watched.registry).decode()
    assert not re.search(r"^forged_total", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) < 400


def test_calls_of_a_connection_that_goes_on_are_counted_as_they_complete(
    watched: Watched,
) -> None:
    watched.metrics.read(a_request(), [a_call(1, 2), a_call(3, 4)])
    of = {"provider": "openai", "model": "gpt-5"}
    assert watched.value("calls_total", **of) == 2
    assert watched.value("tokens_total", type="output_other", **of) == 6
