"""Price tiers go by a call's size, so its class must never be off by one."""

from __future__ import annotations

import pytest

from agentspec_usage.metering.series import CONTEXT_THRESHOLDS, context_class


@pytest.mark.parametrize(
    ("input_tokens", "expected"),
    [
        pytest.param(0, 0, id="nothing"),
        pytest.param(32_000, 0, id="at the first threshold"),
        pytest.param(32_001, 32_000, id="above the first threshold"),
        pytest.param(199_999, 128_000, id="at 199,999"),
        pytest.param(200_000, 199_999, id="200,000 exceeds 199,999 alone"),
        pytest.param(200_001, 200_000, id="above 200,000"),
        pytest.param(10_000_000, 524_288, id="above all"),
    ],
)
def test_the_class_is_the_highest_threshold_exceeded(input_tokens: int, expected: int) -> None:
    assert context_class(input_tokens) == expected


def test_the_thresholds_ascend() -> None:
    assert list(CONTEXT_THRESHOLDS) == sorted(set(CONTEXT_THRESHOLDS))
