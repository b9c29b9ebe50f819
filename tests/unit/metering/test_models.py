"""The rows by model always sum to the totals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import MAX_COUNT, ZERO, TokenCounts
from agentspec_usage.metering.models import OTHER, UNATTRIBUTED, ModelKey, most_used, rank
from tests.unit.metering.readings import counts, tokens

keys = st.builds(
    ModelKey,
    st.sampled_from(["", "openai", "azure"]),
    st.sampled_from(["gpt", "o3", "__other__", "__unattributed__"]),
)
cells = st.dictionaries(keys, counts, max_size=12)


@given(cells, counts, st.integers(0, 5))
def test_rows_sum_to_the_totals_and_no_two_have_one_name(
    used: dict[ModelKey, TokenCounts], totals: TokenCounts, limit: int
) -> None:
    rows = rank(used, totals, limit)
    left = totals
    for row in rows:
        assert left.covers(row.counts)
        left = left.increase_since(row.counts)
    assert left == ZERO
    names = [(row.provider, row.model) for row in rows]
    assert len(set(names)) == len(names) <= limit + 2


def test_the_most_used_come_first_then_other_then_unattributed() -> None:
    used = {ModelKey("p", f"m{n}"): tokens(n * 10) for n in range(1, 5)}
    rows = rank(used, tokens(150, calls=5), 2)
    assert [(row.model, row.counts.input) for row in rows] == [
        ("m4", 40),
        ("m3", 30),
        (OTHER.model, 30),
        (UNATTRIBUTED.model, 50),
    ]


def test_the_same_model_name_at_two_providers_is_two_rows() -> None:
    used = {ModelKey("openai", "gpt-4o"): tokens(1), ModelKey("azure", "gpt-4o"): tokens(2)}
    assert [row.provider for row in rank(used, tokens(3, calls=2), 20)] == ["azure", "openai"]


def test_a_sender_with_more_in_its_rows_than_in_its_totals_is_cut_to_the_totals() -> None:
    used = {ModelKey("p", "big"): tokens(MAX_COUNT), ModelKey("p", "small"): tokens(5)}
    rows = rank(used, tokens(100), 20)
    assert [(row.model, row.counts.input) for row in rows] == [("big", 100)]


@given(cells)
def test_rows_do_not_depend_on_the_order_of_the_cells(used: dict[ModelKey, TokenCounts]) -> None:
    backwards = dict(reversed(used.items()))
    assert list(most_used(used, 9)) == list(most_used(backwards, 9))
