"""The packed state says what the checkpoint said, always fits, and is refused when damaged."""

from __future__ import annotations

import base64
import random
import zlib
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import UsageError, WireError
from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    Source,
    choose_source,
    fold,
    instances,
    model_usage,
    new_checkpoint,
    observe,
    pods,
    reasons,
    restart_epoch,
    same_numbers,
    source_of,
    totals,
    upper_tokens,
    window_started_at,
)
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts, sum_counts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.metering.state import MAX_LEGACY, MAX_SOURCES
from agentspec_usage.wire.writer_state import LIMIT, MIN_LIMIT, pack, unpack
from tests.unit.metering.readings import (
    LATER_POD,
    OTHER_POD,
    POD,
    A,
    B,
    counts,
    numbered_id,
    numbered_pod,
    reading,
    snapshot,
)


def forgetting(cp: Checkpoint) -> Checkpoint:
    """What a process that starts anew knows of ``cp``."""
    return replace(cp, spilled={}, forgotten_until=cp.lost_until)


def replicas(
    count: int,
    *,
    models: int = 1,
    folded: int = 0,
    seed: int = 7,
    bits: int = 24,
) -> Checkpoint:
    """An object of many pods with an instance each, some of them gone, with numbers of ``bits``."""
    chance = random.Random(seed)
    cp = new_checkpoint("11111111-2222-4333-8444-555555555555")
    for number in range(folded + count):
        uid = f"{chance.getrandbits(128):032x}"
        uid = "-".join((uid[:8], uid[8:12], uid[12:16], uid[16:20], uid[20:]))
        pod = numbered_pod(number)._replace(uid=uid)
        rows = tuple(
            SeriesRow(
                SeriesKey("openai", f"gpt-{model}"),
                TokenCounts(*[chance.getrandbits(bits) for _ in range(3 if bits < 32 else 15)]),
            )
            for model in range(models)
        )
        one = UsageSnapshot(
            sum_counts(row.counts for row in rows), rows, f"{chance.getrandbits(128):032x}"
        )
        cp = choose_source(cp, uid, Source.AGENT)
        cp = observe(cp, pod, UsageReading((one,)), number)
        if number < folded:
            cp = fold(cp, [uid])
    return cp


observations = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.builds(
            UsageSnapshot,
            totals=counts,
            rows=st.lists(
                st.builds(
                    SeriesRow,
                    st.builds(SeriesKey, st.sampled_from(["", "é"]), st.text(max_size=3)),
                    counts,
                ),
                max_size=3,
            ).map(tuple),
            instance_id=st.none() | st.integers(0, 4).map(numbered_id) | st.just("odd"),
            observer=st.just(Observer.SDK),
            window_started_at=st.none() | st.integers(0, 9),
            final=st.booleans(),
            upper_tokens=st.none() | st.integers(0, MAX_COUNT),
        ),
        st.booleans(),
    ),
    max_size=8,
)


@given(observations, st.booleans())
def test_what_is_unpacked_says_what_was_packed(
    observed: list[tuple[int, UsageSnapshot, bool]], restarted: bool
) -> None:
    cp = restart_epoch("e2", [POD]) if restarted else new_checkpoint("e1")
    cp = choose_source(cp, POD.uid, Source.SIDECAR)
    for at, (number, one, gone) in enumerate(observed):
        pod = numbered_pod(number)
        cp = observe(cp, pod, reading(one), at)
        if gone:
            cp = fold(cp, [pod.uid])
    packed, text = pack(cp)
    again = unpack(text)
    assert len(text) <= LIMIT
    assert same_numbers(packed, cp)
    assert same_numbers(again, cp)
    assert totals(again) == totals(cp)
    assert model_usage(again) == model_usage(cp)
    assert reasons(again) == reasons(cp)
    assert upper_tokens(again) == upper_tokens(cp)
    assert window_started_at(again) == window_started_at(cp)
    assert pods(again) == pods(cp)
    assert source_of(again, POD.uid) is Source.SIDECAR
    assert pack(again)[1] == text


def test_a_reader_of_the_state_goes_on_counting_where_it_stood() -> None:
    cp = observe(new_checkpoint("e1"), POD, reading(snapshot(A, 100)), 1000)
    cp = observe(fold(cp, [POD.uid]), OTHER_POD, reading(snapshot(B, 10)), 1000)
    cp = unpack(pack(cp)[1])
    cp = observe(cp, OTHER_POD, reading(snapshot(B, 15)), 2000)
    cp = observe(cp, POD, reading(snapshot(A, 130)), 2000)
    assert totals(cp).input == 15 + 130


def test_a_model_that_may_have_been_counted_counts_its_growth_after_unpacking_too() -> None:
    partly = snapshot(A, {"gpt": 60}, totals=TokenCounts(input=100, calls=2))
    cp = unpack(pack(observe(new_checkpoint("e1"), POD, reading(partly), 1000))[1])
    for amount in (50, 58):
        shown = snapshot(
            A, {"gpt": 60, "o3": amount}, totals=TokenCounts(input=60 + amount, calls=3)
        )
        cp = observe(cp, POD, reading(shown), 2000)
    assert {row.model: row.counts.input for row in model_usage(cp)} == {
        "gpt": 60,
        "o3": 8,
        "__unattributed__": 50,
    }


def test_a_restart_that_nobody_watched_is_noticed_after_unpacking() -> None:
    cp = observe(new_checkpoint("e1"), POD, reading(snapshot(A, 100)), 1000)
    cp = unpack(pack(cp)[1])
    cp = observe(cp, POD, reading(snapshot(B, 5, started=1500)), 2000)
    assert Reason.AGENT_RESTARTED in reasons(cp)


def test_sixty_four_replicas_of_one_model_take_less_than_five_and_a_half_kilobytes() -> None:
    cp = replicas(64)
    packed, text = pack(cp)
    assert len(text) <= 5500
    assert same_numbers(packed, cp)
    assert len(instances(unpack(text))) == 64


@pytest.mark.parametrize("models", [pytest.param(n, id=f"{n} models") for n in (3, 20, 60)])
def test_models_of_sixty_four_replicas_are_shown_in_full_though_they_do_not_fit(
    models: int,
) -> None:
    cp = replicas(64, models=models)
    packed, text = pack(cp)
    assert len(text) <= LIMIT
    assert len(instances(packed)) == 64
    for said in (packed, unpack(text)):
        assert model_usage(said)[:20] == model_usage(cp)[:20]
        assert totals(said) == totals(cp)


def test_growth_after_a_use_was_pooled_still_has_its_model() -> None:
    cp, _ = pack(replicas(64, models=20))
    (first, *_) = cp.live
    live = cp.live[first]
    grown = {key.model: span.last.input + 1000 for key, span in live.meter.models.items()}
    rows = tuple(
        SeriesRow(SeriesKey("openai", model), TokenCounts(input=amount))
        for model, amount in grown.items()
    )
    more = live.meter.totals.last + TokenCounts(input=1000 * len(grown))
    one = UsageSnapshot(more, rows, first)
    after = observe(cp, live.pod, reading(one), 9000)
    before = {row.model: row.counts.input for row in model_usage(cp)}
    for row in model_usage(after):
        assert row.counts.input - before[row.model] == 1000


def test_tombstones_give_way_before_shown_models_do() -> None:
    cp = replicas(64, models=3, folded=64)
    packed, text = pack(cp)
    assert len(text) <= LIMIT
    assert model_usage(packed) == model_usage(cp)
    assert len(instances(packed)) == 64
    assert 0 < len(packed.tombstones) < 64
    assert packed.lost_until is not None


def test_this_process_still_knows_the_tombstones_that_did_not_fit() -> None:
    cp = replicas(64, folded=64)
    packed, text = pack(cp)
    (lost, *_) = set(cp.tombstones) - set(packed.tombstones)
    tombstone = cp.tombstones[lost]
    grown = tombstone.last + TokenCounts(input=7)
    returned = reading(UsageSnapshot(grown, instance_id=lost))
    assert totals(observe(packed, tombstone.pod, returned, 9000)) == totals(cp) + TokenCounts(
        input=7
    )
    # Whoever starts anew cannot know, and counts what comes after.
    anew = observe(unpack(text), tombstone.pod, returned, 9000)
    assert totals(anew) == totals(cp)
    assert Reason.AGENT_RESTARTED in reasons(anew)


def test_a_pod_younger_than_every_lost_tombstone_is_counted_in_full() -> None:
    _, text = pack(replicas(64, folded=64))
    cp = unpack(text)
    grown = observe(cp, LATER_POD, reading(snapshot("d" * 32, 50)), 9000)
    assert totals(grown).input == totals(cp).input + 50


@pytest.mark.parametrize("limit", [pytest.param(n, id=str(n)) for n in (MIN_LIMIT, 2000, LIMIT)])
@pytest.mark.parametrize(
    "cp",
    [
        pytest.param(replicas(64, models=64, folded=64, bits=44), id="random numbers of 44 bits"),
        pytest.param(replicas(64, models=64, folded=64, bits=53), id="random numbers of 53 bits"),
        pytest.param(replicas(3, models=3, folded=3), id="a small object"),
    ],
)
def test_any_state_fits_and_keeps_its_totals(cp: Checkpoint, limit: int) -> None:
    packed, text = pack(cp, limit)
    assert len(text) <= limit
    assert totals(packed) == totals(unpack(text)) == totals(cp)
    assert same_numbers(forgetting(packed), unpack(text))


@pytest.mark.parametrize("limit", [pytest.param(n, id=str(n)) for n in (MIN_LIMIT, LIMIT)])
def test_senders_without_instance_ids_and_pods_without_readings_fit_too(limit: int) -> None:
    chance = random.Random(7)
    cp = new_checkpoint("e" * 128)
    for _ in range(MAX_SOURCES):
        cp = choose_source(cp, f"{chance.getrandbits(400):x}", Source.AGENT)
    for number in range(MAX_LEGACY):
        for window in range(3):
            one = snapshot(None, {f"m{window}": chance.getrandbits(50)}, started=window)
            cp = observe(cp, numbered_pod(number), reading(one), number, "agent")
    packed, text = pack(cp, limit)
    assert len(text) <= limit
    assert totals(packed) == totals(unpack(text)) == totals(cp)
    assert Reason.LEGACY_SOURCE in reasons(unpack(text))


def test_long_and_strange_model_names_fit() -> None:
    chance = random.Random(7)
    names = {
        "".join(chr(0x4E00 + chance.randrange(20_000)) for _ in range(40)): 9 for _ in range(64)
    }
    cp = observe(new_checkpoint("e1"), POD, reading(snapshot(A, names)), 1000)
    packed, text = pack(cp, 4096)
    assert len(text) <= 4096
    assert totals(unpack(text)).input == 9 * 64
    assert Reason.TRUNCATED in reasons(packed)


def test_a_limit_below_what_any_state_needs_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError, match="1024"):
        pack(new_checkpoint("e1"), 100)


def frame(data: bytes, *, version: int = 2, after: bytes = b"") -> str:
    """A state with a right checksum around any bytes."""
    stream = zlib.compress(data) + after
    raw = bytes([version]) + zlib.crc32(stream).to_bytes(4, "big") + stream
    return base64.urlsafe_b64encode(raw).decode()


GOOD = pack(replicas(3, models=2, folded=2))[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "version", id="empty"),
        pytest.param("hello", "base64", id="a word"),
        pytest.param("ähm", "base64", id="not ASCII"),
        pytest.param(GOOD[:-8], "checksum", id="cut off"),
        pytest.param(frame(b"", after=b"more"), "stream", id="with something after it"),
        pytest.param(frame(b"", version=3), "version", id="a later version"),
        pytest.param(frame(b"\x00" * 5_000_000), "stream", id="a bomb"),
        pytest.param(frame(b""), "number", id="nothing inside"),
        pytest.param(frame(b"\xff" * 200), "number", id="a number without end"),
        pytest.param(frame(b"\x7f" * 200), "at most", id="a length beyond the bound"),
    ],
)
def test_a_damaged_state_is_refused(text: str, expected: str) -> None:
    with pytest.raises(WireError, match=expected):
        unpack(text)


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_any_changed_character_is_noticed(at: int, character: str) -> None:
    changed = GOOD[:at] + character + GOOD[at + 1 :]
    if changed != GOOD:
        with pytest.raises(WireError):
            unpack(changed)


@given(st.binary(max_size=300))
def test_any_bytes_under_a_right_checksum_are_read_or_refused(data: bytes) -> None:
    with suppress(WireError):
        assert totals(unpack(frame(data))).total <= MAX_COUNT


@pytest.mark.parametrize("reason", [pytest.param(reason, id=reason) for reason in Reason])
def test_every_reason_survives(reason: Reason) -> None:
    cp = replace(new_checkpoint("e1"), reasons=frozenset({reason}))
    assert unpack(pack(cp)[1]).reasons == {reason}
