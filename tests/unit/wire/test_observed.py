"""Observations are decoded as they were encoded, or refused by the field that is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.wire.observed import decode_observed
from agentspec_usage.wire.observed_encoding import (
    MAX_OBSERVATIONS,
    MAX_OBSERVED_BODY,
    Observation,
    encode_observation,
    encode_observed,
)
from tests.unit.metering.readings import A, B, histories, reading, snapshot

READING = reading(snapshot(A, 10, seq=2, started=1000))
OBSERVATION = Observation("team", "bot", "uid-1", "containerd://0", 1_795_348_800_123, READING)


def body(*observations: Observation) -> bytes:
    return encode_observed(encode_observation(one) for one in observations)


def entry(**changes: Any) -> bytes:
    fields: dict[str, Any] = json.loads(body(OBSERVATION))["observations"][0]
    fields = {name: value for name, value in (fields | changes).items() if value is not None}
    return json.dumps({"observations": [fields]}).encode()


@pytest.mark.parametrize(
    "observation",
    [
        pytest.param(OBSERVATION, id="one process"),
        pytest.param(
            Observation(
                "team",
                "a.b-c",
                "uid-1",
                seen_at=1,
                reading=reading(snapshot(A, 1), snapshot(B, {"gpt": 2, "o3": 1}, final=True)),
                cost_center="R&D / 4711 é",
            ),
            id="several processes and who pays",
        ),
        pytest.param(
            Observation("team", "bot", "uid-1", "c", 1, reading(snapshot(None, 5, started=9))),
            id="a window of AgentSpec's dialect",
        ),
        pytest.param(Observation("team", "bot"), id="a question"),
        pytest.param(Observation("team", "bot", cost_center="4711"), id="a question, who pays"),
    ],
)
def test_an_observation_arrives_as_it_was(observation: Observation) -> None:
    assert decode_observed(body(observation)) == (observation,)


@given(st.lists(histories(), max_size=5))
def test_a_body_holds_each_of_its_observations(shown: list[list[UsageSnapshot]]) -> None:
    observations = [
        Observation("team", f"bot-{number}", "uid", seen_at=number, reading=UsageReading((last,)))
        for number, history in enumerate(shown)
        for last in history[-1:]
    ]
    read = decode_observed(body(*observations))
    # A part that exceeds its whole is flagged by who reads it first, and by nobody again.
    assert decode_observed(body(*read)) == read
    assert [one.totals for found in read if found.reading for one in found.reading.snapshots] == [
        one.totals for sent in observations if sent.reading for one in sent.reading.snapshots
    ]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        pytest.param({"namespace": "Team"}, "observations[0].namespace", id="no namespace"),
        pytest.param({"name": ""}, "observations[0].name", id="no name"),
        pytest.param({"name": "b" * 254}, "observations[0].name", id="a name too long"),
        pytest.param({"podUid": "u" * 129}, "observations[0].podUid", id="a uid too long"),
        pytest.param({"podUid": None}, "observations[0]", id="a snapshot of no pod"),
        pytest.param({"snapshot": None}, "observations[0]", id="a pod without a snapshot"),
        pytest.param({"seenAt": "yesterday"}, "observations[0].seenAt", id="no time"),
        pytest.param({"container": "a b"}, "observations[0].container", id="no container id"),
        pytest.param({"costCenter": "a\nb"}, "observations[0].costCenter", id="two lines"),
        pytest.param({"costCenter": "é" * 65}, "observations[0].costCenter", id="130 bytes"),
        pytest.param({"snapshot": {}}, "observations[0].snapshot.models", id="no models"),
        pytest.param(
            {"snapshot": {"models": [{"modelId": "m", "promptTokens": True}]}},
            "observations[0].snapshot.models[0].promptTokens",
            id="a count that is a switch",
        ),
        pytest.param(
            {"snapshot": {"models": [], "instances": [{"models": []}]}},
            "observations[0].snapshot.instances[0].instanceId",
            id="a process without a name",
        ),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(WireError) as caught:
        decode_observed(entry(**changes))
    assert caught.value.path == path


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="no observations"),
        pytest.param(b'{"observations":[]}' + b" " * MAX_OBSERVED_BODY, id="too large"),
        pytest.param(body(*[Observation("n", "a")] * (MAX_OBSERVATIONS + 1)), id="too many"),
    ],
)
def test_a_body_that_is_none_is_refused(wrong: bytes) -> None:
    with pytest.raises(WireError):
        decode_observed(wrong)


def test_one_observation_always_fits_a_body() -> None:
    rows = tuple(
        SeriesRow(SeriesKey("p", f"{number}-" + "m" * 120, region="r" * 120), TokenCounts(number))
        for number in range(256)
    )
    sent = [
        UsageSnapshot(TokenCounts(10**9), rows, f"{number:032x}", Observer.SDK)
        for number in range(64)
    ]
    largest = body(Observation("n", "a", "u", reading=UsageReading(tuple(sent))))
    assert len(largest) <= MAX_OBSERVED_BODY
    (found,) = decode_observed(largest)
    assert found.reading is not None
    assert [one.totals for one in found.reading.snapshots] == [one.totals for one in sent]
