"""The laws of the count vector."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import (
    COMPONENTS,
    MAX_COUNT,
    ZERO,
    TokenCounts,
    sum_counts,
)
from tests.unit.metering.readings import counts


@given(counts, counts, counts)
def test_addition_is_a_commutative_monoid_even_where_it_saturates(
    a: TokenCounts, b: TokenCounts, c: TokenCounts
) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c) == sum_counts([a, b, c])
    assert a + ZERO == a


@given(counts, counts, counts)
def test_join_is_a_semilattice_and_the_least_upper_bound(
    a: TokenCounts, b: TokenCounts, c: TokenCounts
) -> None:
    assert a.join(a) == a
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(b).covers(a)
    assert not (c.covers(a) and c.covers(b)) or c.covers(a.join(b))


@given(counts, counts)
def test_join_and_meet_share_out_what_two_vectors_have(a: TokenCounts, b: TokenCounts) -> None:
    assert sum_counts([a.join(b), a.meet(b)]) == a + b
    assert a.covers(a.meet(b))


@given(counts, counts)
def test_an_increase_restores_the_later_vector_and_is_never_negative(
    a: TokenCounts, b: TokenCounts
) -> None:
    increase = a.increase_since(b)
    assert min(increase.as_tuple()) >= 0
    assert b + increase == a.join(b)


@given(counts, counts)
def test_covering_is_having_no_component_below(a: TokenCounts, b: TokenCounts) -> None:
    assert a.covers(b) is (not b.increase_since(a))


@given(counts)
def test_totals_never_exceed_the_bound(a: TokenCounts) -> None:
    doubled = a + a
    assert max(doubled.total, doubled.cache_write, *doubled.as_tuple()) <= MAX_COUNT


def test_total_is_input_plus_output_and_nothing_else() -> None:
    # The subsets (500 cached, 97 reasoning, 40 audio) are inside: 627 + 97 = 724.
    used = TokenCounts(
        input=627, output=97, cache_read=377, cache_write_5m=123, reasoning=97, audio_in=40
    )
    assert used.total == 724
    assert used.cache_write == 123


@pytest.mark.parametrize(
    ("vector", "saturated"),
    [
        pytest.param(ZERO, False, id="nothing"),
        pytest.param(TokenCounts(input=MAX_COUNT - 1), False, id="one below the bound"),
        pytest.param(TokenCounts(calls=MAX_COUNT), True, id="calls at the bound"),
        pytest.param(TokenCounts(input=MAX_COUNT) + TokenCounts(input=1), True, id="a sum"),
    ],
)
def test_a_vector_says_when_it_stopped_counting(vector: TokenCounts, saturated: bool) -> None:
    assert vector.saturated is saturated


def test_the_tuple_lists_every_field_in_order() -> None:
    numbered = TokenCounts(**{field.name: at for at, field in enumerate(fields(TokenCounts))})
    assert numbered.as_tuple() == tuple(range(len(COMPONENTS)))


@given(st.lists(counts, max_size=5))
def test_a_sum_is_zero_of_nothing_and_covers_its_parts(vectors: list[TokenCounts]) -> None:
    whole = sum_counts(vectors)
    assert bool(whole) is any(vectors)
    assert all(whole.covers(vector) for vector in vectors)
