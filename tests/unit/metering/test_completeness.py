"""A number is as good as the worst of its parts."""

from __future__ import annotations

import pytest

from agentspec_usage.metering.completeness import Completeness, Reason, completeness_of


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        pytest.param([], Completeness.EXACT, id="no doubt"),
        pytest.param([Reason.TRUNCATED], Completeness.EXACT, id="lost detail only"),
        pytest.param([Reason.AGENT_RESTARTED], Completeness.LOWER_BOUND, id="restart"),
        pytest.param(
            [Reason.AGENT_RESTARTED, Reason.LEGACY_SOURCE], Completeness.ESTIMATED, id="two"
        ),
        pytest.param([Reason.LEGACY_SOURCE, Reason.SCRAPE_FAILED], Completeness.STALE, id="stale"),
    ],
)
def test_the_worst_reason_decides(reasons: list[Reason], expected: Completeness) -> None:
    assert completeness_of(reasons) is expected
    assert completeness_of(reversed(reasons)) is expected


@pytest.mark.parametrize("reason", [pytest.param(reason, id=reason) for reason in Reason])
def test_every_reason_means_something(reason: Reason) -> None:
    assert completeness_of([reason]) in Completeness
