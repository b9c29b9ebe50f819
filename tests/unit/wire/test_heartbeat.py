"""Heartbeats of both dialects become one phase, and their usage never decides it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentspec_usage.errors import UsageError, WireError
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot
from agentspec_usage.wire.heartbeat import decode_heartbeat
from agentspec_usage.wire.heartbeat_encoding import MAX_HEARTBEAT, encode_heartbeat
from tests.unit.metering.readings import A, snapshot


@pytest.mark.parametrize(
    ("health", "gap", "expected"),
    [
        pytest.param(
            {"status": "healthy"},
            {"overallScore": 91, "violations": ["a", "b"]},
            ("Healthy", 91, "A", 2),
            id="SDK, camel",
        ),
        pytest.param(
            {"status": "unhealthy"},
            {"overall_score": 44.9, "violations": []},
            ("Unhealthy", 44, "F", 0),
            id="SDK, snake",
        ),
        pytest.param(
            {"status": "ready"}, {"score": 75, "issues": 3}, ("Healthy", 75, "B", 3), id="sidecar"
        ),
        pytest.param(
            {"status": "degraded"}, {"score": 60}, ("Degraded", 60, "C", 0), id="degraded"
        ),
        pytest.param(
            {"status": "unavailable"}, {"score": 45}, ("Unhealthy", 45, "D", 0), id="unavailable"
        ),
        pytest.param(
            {"status": 7}, {"score": 101}, ("Unknown", None, None, 0), id="not understood"
        ),
        pytest.param({}, {"score": True}, ("Unknown", None, None, 0), id="nothing said"),
    ],
)
def test_both_dialects_are_understood(
    health: dict[str, Any], gap: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    heartbeat = decode_heartbeat(encode_heartbeat(health, gap))
    found = (str(heartbeat.phase), heartbeat.score, heartbeat.grade, heartbeat.violations)
    assert found == expected
    assert (dict(heartbeat.health), dict(heartbeat.gap)) == (health, gap)


def test_the_usage_of_a_heartbeat_is_the_snapshot_that_was_sent() -> None:
    sent = snapshot(A, {"gpt": 10, "o3": 5}, seq=2, started=1000)
    heartbeat = decode_heartbeat(encode_heartbeat({"status": "healthy"}, {}, [sent]))
    assert heartbeat.usage is not None
    assert heartbeat.usage.snapshots == (sent,)


def test_wrong_usage_is_named_and_leaves_the_phase_alone() -> None:
    body = json.dumps({"health": {"status": "ready"}, "gap": {}, "usage": {"models": 3}})
    heartbeat = decode_heartbeat(body.encode())
    assert str(heartbeat.phase) == "Healthy"
    assert heartbeat.usage is None
    assert heartbeat.usage_error is not None
    assert heartbeat.usage_error.path == "usage.models"


def test_a_snapshot_too_large_for_a_heartbeat_leaves_rows_out_and_keeps_its_totals() -> None:
    rows = tuple(
        SeriesRow(SeriesKey("p", f"{n}-" + "m" * 120, region="r" * 120), TokenCounts(input=n + 1))
        for n in range(256)
    )
    totals = TokenCounts(input=sum(range(257)))
    sent = UsageSnapshot(totals, rows, A, Observer.SDK)
    body = encode_heartbeat({"status": "healthy"}, {}, [sent])
    assert len(body) <= MAX_HEARTBEAT
    usage = decode_heartbeat(body).usage
    assert usage is not None
    assert usage.snapshots[0].totals == totals
    assert 0 < len(usage.snapshots[0].rows) < 256


def test_health_that_leaves_no_room_for_usage_is_the_callers_error() -> None:
    with pytest.raises(UsageError, match="expected room"):
        encode_heartbeat({"status": "x" * MAX_HEARTBEAT}, {}, [snapshot(A, 1)])


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param(b"[]", "", id="a list"),
        pytest.param(b'{"gap":{}}', "health", id="no health"),
        pytest.param(b'{"health":{},"gap":[]}', "gap", id="a list for gap"),
        pytest.param(b'{"health":{"a":NaN},"gap":{}}', "", id="NaN"),
        pytest.param(b" " * (MAX_HEARTBEAT + 1), "", id="too large"),
    ],
)
def test_what_is_no_heartbeat_is_refused(body: bytes, path: str) -> None:
    with pytest.raises(WireError) as refused:
        decode_heartbeat(body)
    assert refused.value.path == path
