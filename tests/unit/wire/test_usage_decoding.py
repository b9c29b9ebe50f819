"""Decoding usage: both dialects, and what is refused, flagged and ignored."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.names import MAX_NAME_BYTES
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, UsageSnapshot
from agentspec_usage.wire.usage import MAX_INSTANCES, decode_usage
from tests.unit.metering.readings import A, B

SECRET = "sk-canary"


def decode(**fields: Any) -> UsageSnapshot:
    (one,) = decode_usage(json.dumps({"models": [], **fields}).encode()).snapshots
    return one


def row(**fields: Any) -> dict[str, Any]:
    return {"modelId": "openai/gpt", **fields}


def test_agentspecs_own_dialect_is_a_window_of_its_sender() -> None:
    body = b"""{
        "windowStartedAt": "2026-11-01T08:30:00Z", "totalTokens": 160, "totalCalls": 3,
        "models": [
            {"modelId": "openai/gpt-4o", "promptTokens": 100, "completionTokens": 50,
             "totalTokens": 150, "callCount": 2},
            {"modelId": "local", "promptTokens": 10, "completionTokens": 0,
             "totalTokens": 10, "callCount": 1}
        ]}"""
    (one,) = decode_usage(body).snapshots
    assert one.instance_id is None
    assert one.observer is Observer.LEGACY
    assert one.window_started_at == 1_793_521_800_000
    assert one.totals == TokenCounts(input=110, output=50, calls=3)
    assert [(r.key.provider, r.key.model) for r in one.rows] == [
        ("openai", "gpt-4o"),
        ("", "local"),
    ]


def test_our_dialect_carries_the_whole_count_vector() -> None:
    one = decode(
        instanceId=A,
        seq=7,
        observer="sidecar",
        observedAt="2026-11-01T09:30:00.250+01:00",
        final=True,
        via="sidecar",
        invalidCalls=1,
        upperTokens=900,
        totals={
            "input": 627,
            "output": 97,
            "cacheRead": 300,
            "cacheWrite": {"5m": 100, "1h": 20, "unspecified": 3},
            "reasoning": 9,
            "audioIn": 1,
            "imageOut": 2,
            "calls": 2,
            "unmeteredCalls": 1,
        },
        totalTokens=724,
        totalCalls=2,
    )
    assert one == UsageSnapshot(
        totals=TokenCounts(
            input=627,
            output=97,
            cache_read=300,
            cache_write_5m=100,
            cache_write_1h=20,
            cache_write_unspecified=3,
            reasoning=9,
            audio_in=1,
            image_out=2,
            calls=2,
            unmetered_calls=1,
        ),
        instance_id=A,
        observer=Observer.SIDECAR,
        seq=7,
        observed_at=1_793_521_800_250,
        final=True,
        via="sidecar",
        invalid_calls=1,
        upper_tokens=900,
    )


def test_nothing_used_yet_is_a_reading_too() -> None:
    assert decode(totalTokens=0, totalCalls=0) == UsageSnapshot()


def test_of_several_processes_only_the_list_is_read() -> None:
    entry = {"models": [row(promptTokens=5, callCount=1)]}
    body = {
        "models": [row(promptTokens=10, callCount=2)],
        "totalTokens": 10,
        "instances": [{**entry, "instanceId": A}, {**entry, "instanceId": B, "final": True}],
    }
    reading = decode_usage(json.dumps(body).encode())
    assert [(one.instance_id, one.totals.input, one.final) for one in reading.snapshots] == [
        (A, 5, False),
        (B, 5, True),
    ]


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        pytest.param({"modelId": "openai/gpt"}, ("openai", "gpt"), id="provider/model"),
        pytest.param({"modelId": "gpt"}, ("", "gpt"), id="the bare model"),
        pytest.param({"modelId": "a/b/c"}, ("a", "b/c"), id="a model with a slash"),
        pytest.param(
            {"modelId": "a/b", "provider": "", "model": "a/b"}, ("", "a/b"), id="explicit"
        ),
        pytest.param({"modelId": "a/b", "provider": "a"}, ("a", "b"), id="provider named twice"),
        pytest.param(
            {"modelId": "b", "provider": "a"}, ("a", "b"), id="provider beside a bare model"
        ),
    ],
)
def test_a_model_is_found_by_its_id_or_by_its_own_fields(
    fields: dict[str, str], key: tuple[str, str]
) -> None:
    (one,) = decode(models=[fields]).rows
    assert (one.key.provider, one.key.model) == key


def test_a_row_carries_its_price_context() -> None:
    context = {
        "operation": "embeddings",
        "serviceTier": "flex",
        "region": "eu",
        "batch": True,
        "contextClass": 200_000,
    }
    (one,) = decode(models=[row(**context)]).rows
    assert one.key == SeriesKey("openai", "gpt", "embeddings", "flex", "eu", True, 200_000)


refusals = [
    pytest.param({"models": {}}, "models", "list", id="models is no list"),
    pytest.param({"models": [7]}, "models[0]", "", id="a row is no object"),
    pytest.param({"models": [{}]}, "models[0].modelId", "a value", id="a row without a model"),
    pytest.param(
        {"models": [row(promptTokens=1.0)]}, "models[0].promptTokens", "integer", id="float"
    ),
    pytest.param(
        {"models": [row(promptTokens=True)]}, "models[0].promptTokens", "integer", id="bool"
    ),
    pytest.param(
        {"models": [row(promptTokens="7")]}, "models[0].promptTokens", "integer", id="text"
    ),
    pytest.param(
        {"models": [row(promptTokens=None)]}, "models[0].promptTokens", "integer", id="null"
    ),
    pytest.param({"models": [row(promptTokens=-1)]}, "models[0].promptTokens", "0", id="negative"),
    pytest.param(
        {"models": [row(cacheWriteTokens={"5m": -1})]},
        "models[0].cacheWriteTokens.5m",
        "0",
        id="negative inside",
    ),
    pytest.param(
        {"models": [row(batch=1)]}, "models[0].batch", "boolean", id="a number for a flag"
    ),
    pytest.param({"models": [row(totalTokens=5)]}, "models[0]", "prompt plus", id="a row's sum"),
    pytest.param({"totalTokens": 4}, "totalTokens", "sum", id="the sum of tokens"),
    pytest.param({"totalCalls": 4}, "totalCalls", "sum", id="the sum of calls"),
    pytest.param(
        {"models": [row(promptTokens=5)], "totals": {"input": 4}},
        "models",
        "sum",
        id="rows above totals",
    ),
    pytest.param({"instanceId": A.upper()}, "instanceId", "hex", id="upper-case id"),
    pytest.param({"instanceId": A + "\n"}, "instanceId", "hex", id="id with a line break"),
    pytest.param({"instanceId": "sk-canary"}, "instanceId", "hex", id="id in another form"),
    pytest.param({"windowStartedAt": "2026-11-01"}, "windowStartedAt", "time", id="a date"),
    pytest.param(
        {"windowStartedAt": "2026-11-01T08:30:00"}, "windowStartedAt", "time", id="no zone"
    ),
    pytest.param({"windowStartedAt": "1969-12-31T23:00:00Z"}, "windowStartedAt", "time", id="1969"),
    pytest.param({"windowStartedAt": 7}, "windowStartedAt", "time", id="a number for a time"),
    pytest.param({"observedAt": "9" * 5000}, "observedAt", "time", id="a very long time"),
    pytest.param(
        {"models": [row(region="a\x1b[31m")]}, "models[0].region", "printable", id="escape"
    ),
    pytest.param(
        {"models": [{"modelId": "\ud800"}]}, "models[0].modelId", "", id="half a surrogate"
    ),
    pytest.param(
        {"models": [{"modelId": "\u202esk-canary"}]}, "models[0].modelId", "printable", id="bidi"
    ),
    pytest.param(
        {"models": [{"modelId": "x" * 2000}]}, "models[0].modelId", "1024", id="a huge name"
    ),
    pytest.param({"instances": [{"models": []}]}, "instances[0].instanceId", "a value", id="no id"),
    pytest.param(
        {"instances": [{"models": [], "instanceId": A, "totalTokens": 3}]},
        "instances[0].totalTokens",
        "sum",
        id="the sum of one process",
    ),
    pytest.param(
        {"instances": [{"models": [], "instanceId": A}] * 2},
        "instances",
        "distinct",
        id="same id twice",
    ),
    pytest.param(
        {
            "instances": [
                {"models": [], "instanceId": f"{n:032x}"} for n in range(MAX_INSTANCES + 1)
            ]
        },
        "instances",
        "64",
        id="65 processes",
    ),
]


@pytest.mark.parametrize(("fields", "path", "expected"), refusals)
def test_a_wrong_body_is_refused_by_the_name_of_its_field(
    fields: dict[str, Any], path: str, expected: str
) -> None:
    with pytest.raises(WireError) as refused:
        decode(**fields)
    assert refused.value.path == path
    assert expected in refused.value.expected
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param(b"[]", "", id="a list"),
        pytest.param(b"7", "", id="a number"),
        pytest.param(b"null", "", id="null"),
        pytest.param(b"{}", "models", id="an empty object is not zero usage"),
        pytest.param(b'{"error": "sk-canary"}', "models", id="another endpoint's answer"),
    ],
)
def test_what_is_no_usage_is_not_taken_for_zero(body: bytes, path: str) -> None:
    with pytest.raises(WireError) as refused:
        decode_usage(body)
    assert refused.value.path == path
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"promptTokens": 5, "cacheReadTokens": 6}, id="more cached than input"),
        pytest.param(
            {"promptTokens": 5, "cacheReadTokens": 3, "cacheWriteTokens": {"1h": 3}},
            id="more cached and written than input",
        ),
        pytest.param(
            {"completionTokens": 5, "reasoningTokens": 6}, id="more reasoning than output"
        ),
        pytest.param({"promptTokens": 5, "audioInputTokens": 6}, id="more audio than input"),
        pytest.param({"completionTokens": 5, "imageOutputTokens": 6}, id="more images than output"),
        pytest.param({"callCount": 1, "unmeteredCalls": 2}, id="more unmetered calls than calls"),
    ],
)
def test_a_part_that_exceeds_its_whole_is_flagged_and_the_tokens_count(
    parts: dict[str, Any],
) -> None:
    one = decode(models=[row(**parts)])
    assert one.invalid_calls == 1
    assert one.totals.input == parts.get("promptTokens", 0)
    assert one.totals.output == parts.get("completionTokens", 0)


def test_what_a_later_version_adds_is_ignored() -> None:
    one = decode(
        instanceId=A,
        observer="oracle",
        sampleSize=7,
        source="ring",
        load=0.5,
        models=[row(note="x")],
    )
    assert one.observer is Observer.SDK
    assert len(one.rows) == 1


def test_an_overlong_name_is_cut_and_stays_apart_from_others() -> None:
    models = [{"modelId": "arn" + "x" * 300 + end} for end in ("1", "2")]
    names = [one.key.model for one in decode(models=models).rows]
    assert len(set(names)) == 2
    assert all(len(name.encode()) <= MAX_NAME_BYTES for name in names)


def test_ten_thousand_models_are_read_in_full() -> None:
    models = [{"modelId": f"m{n}", "callCount": 1} for n in range(6000)]
    body = json.dumps({"models": models}, separators=(",", ":")).encode()
    (one,) = decode_usage(body).snapshots
    assert one.totals.calls == 6000


def test_sums_at_the_bound_saturate_instead_of_contradicting() -> None:
    models = [row(promptTokens=MAX_COUNT, completionTokens=5, totalTokens=MAX_COUNT)] * 2
    assert decode(models=models, totalTokens=MAX_COUNT).totals.input == MAX_COUNT


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from(
    [
        "models",
        "instances",
        "totals",
        "totalTokens",
        "totalCalls",
        "instanceId",
        "seq",
        "windowStartedAt",
        "final",
        "via",
        "upperTokens",
    ]
)


@given(
    st.dictionaries(
        names, json_values | st.lists(st.dictionaries(names | st.just("modelId"), json_values))
    )
)
def test_any_body_is_either_read_or_refused_as_a_wire_error(document: dict[str, object]) -> None:
    with suppress(WireError):
        assert len(decode_usage(json.dumps(document).encode()).snapshots) <= MAX_INSTANCES
