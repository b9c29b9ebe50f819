"""Readings to feed a checkpoint with, by hand and at random."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from agentspec_usage.metering.counts import MAX_COUNT, ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.metering.state import PodIdentity

POD = PodIdentity("11111111-1111-4111-8111-111111111111", 1_000_000)
OTHER_POD = PodIdentity("22222222-2222-4222-8222-222222222222", 2_000_000)
LATER_POD = PodIdentity("33333333-3333-4333-8333-333333333333", 9_000_000)

A = "a" * 32
B = "b" * 32
C = "c" * 32


def tokens(amount: int, *, calls: int = 1) -> TokenCounts:
    """``amount`` input tokens in ``calls`` calls."""
    return TokenCounts(input=amount, calls=calls)


def snapshot(
    instance_id: str | None,
    models: Mapping[str, int] | int,
    *,
    totals: TokenCounts | None = None,
    seq: int | None = None,
    started: int | None = None,
    final: bool = False,
    via: str | None = None,
    invalid_calls: int = 0,
    upper_tokens: int | None = None,
) -> UsageSnapshot:
    """A snapshot of input tokens by model; a bare number is model ``gpt``'s."""
    cells = {"gpt": models} if isinstance(models, int) else models
    rows = tuple(
        SeriesRow(SeriesKey(provider="openai", model=model), tokens(amount))
        for model, amount in cells.items()
    )
    return UsageSnapshot(
        totals=sum_counts(row.counts for row in rows) if totals is None else totals,
        rows=rows,
        instance_id=instance_id,
        observer=Observer.LEGACY if instance_id is None else Observer.SDK,
        seq=seq,
        window_started_at=started,
        final=final,
        via=via,
        invalid_calls=invalid_calls,
        upper_tokens=upper_tokens,
    )


def reading(*snapshots: UsageSnapshot) -> UsageReading:
    return UsageReading(snapshots)


counts = st.builds(
    TokenCounts,
    *[st.integers(0, 1000) | st.integers(0, MAX_COUNT) for _ in range(15)],
)
"""Any vector, up to the bound."""


def numbered_id(number: int) -> str:
    """A distinct instance id for every number."""
    return f"{number:032x}"


def numbered_pod(number: int, created_at: int | None = None) -> PodIdentity:
    """A distinct pod for every number, created a second after the one before."""
    uid = f"{number:08x}-0000-4000-8000-000000000000"
    return PodIdentity(uid, 1_000_000 + number * 1000 if created_at is None else created_at)


small_counts = st.builds(
    TokenCounts, st.integers(0, 50), st.integers(0, 50), st.integers(0, 9), calls=st.integers(0, 3)
)


@st.composite
def histories(draw: st.DrawFn, *, final: bool = True) -> list[UsageSnapshot]:
    """What an honest instance shows over its life, oldest first: rows complete, nothing falls."""
    instance_id = draw(st.sampled_from([A, B, C]))
    used = dict.fromkeys(draw(st.sets(st.sampled_from(["gpt", "o3", "claude"]))), ZERO)
    shown: list[UsageSnapshot] = []
    steps = draw(st.lists(st.dictionaries(st.sampled_from(sorted(used) or ["gpt"]), small_counts)))
    for seq, step in enumerate(steps, 1):
        for model, more in step.items():
            used[model] = used.get(model, ZERO) + more
        rows = tuple(
            SeriesRow(SeriesKey("openai", model), amount) for model, amount in used.items()
        )
        shown.append(
            UsageSnapshot(
                totals=sum_counts(row.counts for row in rows),
                rows=rows,
                instance_id=instance_id,
                observer=Observer.SDK,
                seq=seq,
                window_started_at=500,
                final=final and seq == len(steps) and draw(st.booleans()),
            )
        )
    return shown
