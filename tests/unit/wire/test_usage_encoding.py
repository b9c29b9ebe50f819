"""What an agent answers: bounded, readable by both dialects, and decoded to what was encoded."""

from __future__ import annotations

import json
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts, sum_counts
from agentspec_usage.metering.names import showable_name
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.wire.usage import decode_usage
from agentspec_usage.wire.usage_encoding import MAX_BODY, encode_usage
from tests.unit.metering.readings import A, B, numbered_id, tokens

names = st.text(st.characters(exclude_categories=[]), max_size=20).map(showable_name)
times = st.integers(0, 4_000_000_000_000)


@st.composite
def vectors(draw: st.DrawFn) -> TokenCounts:
    """Counts whose parts fit into their wholes, as a ledger holds them."""
    part = st.integers(0, 10**9)
    cached, written, audio, image = (draw(part) for _ in range(4))
    reasoning, spoken, drawn = (draw(part) for _ in range(3))
    unmetered = draw(st.integers(0, 5))
    return TokenCounts(
        input=cached + written * 2 + audio + image + draw(part),
        output=reasoning + spoken + drawn + draw(part),
        cache_read=cached,
        cache_write_5m=written,
        cache_write_12h=written,
        reasoning=reasoning,
        audio_in=audio,
        image_in=image,
        audio_out=spoken,
        image_out=drawn,
        calls=unmetered + draw(st.integers(0, 9)),
        unmetered_calls=unmetered,
    )


keys = st.builds(
    SeriesKey,
    names,
    names,
    st.sampled_from(["chat", "embeddings"]),
    names,
    names,
    st.booleans(),
    st.sampled_from([0, 32_000, 200_000]),
)


@st.composite
def snapshots(draw: st.DrawFn, instance_id: st.SearchStrategy[str]) -> UsageSnapshot:
    rows = draw(st.dictionaries(keys, vectors(), max_size=4))
    left_out = draw(st.sampled_from([TokenCounts(), tokens(5)]))
    return UsageSnapshot(
        totals=sum_counts([*rows.values(), left_out]),
        rows=tuple(SeriesRow(key, counts) for key, counts in rows.items()),
        instance_id=draw(instance_id),
        observer=draw(st.sampled_from([Observer.SDK, Observer.SIDECAR, Observer.EVENTS])),
        seq=draw(st.none() | st.integers(0, MAX_COUNT)),
        window_started_at=draw(st.none() | times),
        observed_at=draw(st.none() | times),
        final=draw(st.booleans()),
        via=draw(st.none() | st.just("sidecar")),
        invalid_calls=draw(st.integers(0, 3)),
        upper_tokens=draw(st.none() | st.integers(0, MAX_COUNT)),
    )


@given(snapshots(st.just(A)))
def test_what_one_process_encodes_is_what_is_decoded(one: UsageSnapshot) -> None:
    assert decode_usage(encode_usage([one])) == UsageReading((one,))


@given(
    st.lists(
        snapshots(st.integers(0, 99).map(numbered_id)),
        min_size=2,
        max_size=4,
        unique_by=lambda one: one.instance_id,
    )
)
def test_what_several_processes_encode_is_what_is_decoded(several: list[UsageSnapshot]) -> None:
    assert decode_usage(encode_usage(several)) == UsageReading(tuple(several))


def test_a_reader_of_agentspecs_dialect_finds_the_sum_at_the_top() -> None:
    def process(instance_id: str, start: int) -> UsageSnapshot:
        rows = (SeriesRow(SeriesKey("openai", "gpt"), TokenCounts(input=5, output=2, calls=1)),)
        totals = TokenCounts(input=5, output=2, calls=1)
        return UsageSnapshot(totals, rows, instance_id, Observer.SDK, window_started_at=start)

    body = json.loads(encode_usage([process(A, 2000), process(B, 1000)]))
    assert body["windowStartedAt"] == "1970-01-01T00:00:01.000Z"
    assert (body["totalTokens"], body["totalCalls"]) == (14, 2)
    (top,) = body["models"]
    assert {
        name: top[name]
        for name in ("modelId", "promptTokens", "completionTokens", "totalTokens", "callCount")
    } == {
        "modelId": "openai/gpt",
        "promptTokens": 10,
        "completionTokens": 4,
        "totalTokens": 14,
        "callCount": 2,
    }
    assert "instanceId" not in body
    assert [entry["instanceId"] for entry in body["instances"]] == [A, B]


def test_an_instance_that_counted_nothing_says_zero() -> None:
    body = json.loads(encode_usage([UsageSnapshot(instance_id=A, observer=Observer.SDK)]))
    assert (body["models"], body["totalTokens"], body["totalCalls"]) == ([], 0, 0)


def crowded(series: int, width: int, instance_id: str = A) -> UsageSnapshot:
    rows = tuple(
        SeriesRow(SeriesKey("p", f"{number:0{width}d}"), tokens(number)) for number in range(series)
    )
    totals = sum_counts(row.counts for row in rows)
    return UsageSnapshot(totals, rows, instance_id, Observer.SDK)


def test_past_the_bound_the_least_used_rows_are_left_out_and_no_token_is() -> None:
    one = crowded(4000, 100)
    body = encode_usage([one])
    assert MAX_BODY - 1000 < len(body) <= MAX_BODY
    (seen,) = decode_usage(body).snapshots
    assert seen.totals == one.totals
    kept = [row.counts.input for row in seen.rows]
    assert kept == list(range(4000 - len(kept), 4000))
    assert not seen.rows_complete


def test_sixty_four_crowded_processes_fit_too() -> None:
    several = [crowded(256, 100, numbered_id(number)) for number in range(64)]
    body = encode_usage(several)
    assert len(body) <= MAX_BODY
    seen = decode_usage(body).snapshots
    assert [one.totals for one in seen] == [one.totals for one in several]


def test_a_sidecar_adds_its_own_fields_at_the_top() -> None:
    body = json.loads(encode_usage([crowded(1, 1)], extra={"sampleSize": 7, "source": "ring"}))
    assert (body["sampleSize"], body["source"]) == (7, "ring")


def test_agents_encode_without_pydantic() -> None:
    code = (
        "import sys, agentspec_usage.wire.usage_encoding, agentspec_usage.metering.ledger\n"
        "assert not {'pydantic', 'pydantic_core', 'asyncio', 'socket'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
