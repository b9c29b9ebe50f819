"""How far a process's own clock is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.believing import MAX_AHEAD_MS, MAX_BEHIND_MS, believed
from agentspec_usage.metering.periods import DAY_MS

NOW = 1_790_000_000_000


@pytest.mark.parametrize(
    ("claimed", "used_at"),
    [
        pytest.param(NOW, NOW, id="now"),
        pytest.param(NOW + MAX_AHEAD_MS, NOW + MAX_AHEAD_MS, id="five minutes ahead"),
        pytest.param(NOW + MAX_AHEAD_MS + 1, NOW + MAX_AHEAD_MS, id="further ahead"),
        pytest.param(4_000_000_000_000, NOW + MAX_AHEAD_MS, id="in 2096"),
        pytest.param(NOW - 92 * DAY_MS, NOW - 92 * DAY_MS, id="a quarter late"),
        pytest.param(NOW - MAX_BEHIND_MS, NOW - MAX_BEHIND_MS, id="a hundred days late"),
        pytest.param(NOW - MAX_BEHIND_MS - 1, NOW, id="later than that"),
        pytest.param(0, NOW, id="in 1970"),
    ],
)
def test_a_time_is_believed_within_what_delivery_can_take(claimed: int, used_at: int) -> None:
    assert believed(claimed, NOW) == used_at


@given(st.integers(0, 2**42), st.integers(0, 2**42))
def test_what_is_believed_is_near_the_arrival_and_believed_again(
    claimed: int, received: int
) -> None:
    used_at = believed(claimed, received)
    assert received - MAX_BEHIND_MS <= used_at <= received + MAX_AHEAD_MS
    assert believed(used_at, received) == used_at
