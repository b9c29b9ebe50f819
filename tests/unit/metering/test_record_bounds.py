"""A record that is fit to travel is itself; any other is made so, once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallContext, CallStatus, UsageRecord
from agentspec_usage.metering.record_bounds import bounded_record
from agentspec_usage.metering.series import SeriesKey
from tests.unit.metering.records import records

FIT = UsageRecord(1, 1000, SeriesKey("openai", "gpt"), TokenCounts(input=5, calls=1))


@given(records())
def test_what_was_bounded_once_stays_as_it_is(record: UsageRecord) -> None:
    bounded = bounded_record(record)
    assert bounded_record(bounded) == bounded


def test_a_record_that_is_fit_is_not_made_again() -> None:
    assert bounded_record(FIT) is FIT
    equal = replace(FIT, key=SeriesKey("openai", "gpt"), call_id="c", duration_ms=5)
    assert bounded_record(equal) is equal


@pytest.mark.parametrize(
    ("unfit", "bounded"),
    [
        pytest.param({"at": -1}, {"at": 0}, id="time"),
        pytest.param({"request_model": "a\nb"}, {"request_model": "a?b"}, id="request model"),
        pytest.param({"call_id": "a\nb"}, {"call_id": "a?b"}, id="call id"),
        pytest.param({"response_id": "a\nb"}, {"response_id": "a?b"}, id="response id"),
        pytest.param({"requests": {"x": -1}}, {"requests": {"x": 0}}, id="requests"),
        pytest.param({"duration_ms": -5}, {"duration_ms": 0}, id="duration"),
        pytest.param({"ttft_ms": -5}, {"ttft_ms": 0}, id="time to the first token"),
        pytest.param({"raw": "x" * 2049}, {"raw": ""}, id="raw"),
        pytest.param({"key": SeriesKey("a\nb")}, {"key": SeriesKey("a?b")}, id="series"),
        pytest.param(
            {"context": CallContext(team="a\nb")},
            {"context": CallContext(team="a?b")},
            id="context",
        ),
        pytest.param(
            {"counts": TokenCounts(input=5)}, {"counts": TokenCounts(input=5, calls=1)}, id="calls"
        ),
        pytest.param(
            {"status": CallStatus.UNMETERED},
            {"counts": TokenCounts(calls=1, unmetered_calls=1), "status": CallStatus.UNMETERED},
            id="counts of an unmetered call",
        ),
    ],
)
def test_every_part_that_is_unfit_is_bounded(
    unfit: dict[str, Any], bounded: dict[str, Any]
) -> None:
    assert bounded_record(replace(FIT, **unfit)) == replace(FIT, **bounded)
