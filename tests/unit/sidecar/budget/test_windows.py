"""Windows are UTC days and months, half open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentspec_usage.runtime.clock import from_rfc3339
from agentspec_usage.sidecar.budget.limits import (
    BudgetLimits,
    Threshold,
    Window,
    window_end,
    window_start,
)


@pytest.mark.parametrize(
    ("window", "now", "start", "end"),
    [
        (Window.DAY, "2026-11-22T00:00:00Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        (Window.DAY, "2026-11-22T23:59:59.999Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        (Window.DAY, "2026-12-31T12:00:00Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
        (Window.MONTH, "2026-11-30T23:59:59.999Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        (Window.MONTH, "2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        (Window.MONTH, "2028-02-29T06:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        (Window.MONTH, "2026-01-31T06:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
    ],
)
def test_a_moment_is_in_its_window(window: Window, now: str, start: str, end: str) -> None:
    begin = window_start(window, from_rfc3339(now))
    assert begin == from_rfc3339(start)
    assert window_end(window, begin) == from_rfc3339(end)


@given(window=st.sampled_from(Window), now=st.integers(0, 4_000_000_000_000))
def test_windows_follow_one_another_without_a_gap(window: Window, now: int) -> None:
    start = window_start(window, now)
    end = window_end(window, start)
    assert start <= now < end
    assert window_start(window, start) == start
    assert window_start(window, end) == end


def test_limits_are_read_by_the_names_of_the_configuration() -> None:
    limits = BudgetLimits.model_validate(
        {"window": "utc-month", "softTokens": 80, "hardTokens": 100, "hardRequests": 7}
    )
    assert limits.window is Window.MONTH
    assert limits.thresholds() == {
        Threshold.SOFT_TOKENS: 80,
        Threshold.HARD_TOKENS: 100,
        Threshold.HARD_REQUESTS: 7,
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param(
            {"softTokens": 9, "hardTokens": 9}, "softTokens 9 .* hardTokens 9", id="equal"
        ),
        pytest.param({"softRequests": 5, "hardRequests": 2}, "5 .* 2", id="the wrong way round"),
        pytest.param({"hardTokens": 0}, "hardTokens", id="nothing allowed"),
        pytest.param({"window": "hour"}, "utc-day", id="unknown window"),
        pytest.param({"hardToken": 5}, "hardToken", id="unknown name"),
    ],
)
def test_limits_that_cannot_work_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BudgetLimits.model_validate(fields)
