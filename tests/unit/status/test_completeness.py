"""From doubts to words: what Complete says."""

from __future__ import annotations

import pytest

from agentspec_usage.metering.completeness import Reason
from agentspec_usage.status.completeness import complete


@pytest.mark.parametrize(
    ("doubts", "reason"),
    [
        pytest.param(set(), "Exact", id="none"),
        pytest.param({Reason.TRUNCATED, Reason.COARSE_TIME}, "Exact", id="lost detail alone"),
        pytest.param({Reason.SATURATED, Reason.SCRAPE_FAILED}, "ScrapeFailed", id="the worse"),
        pytest.param({Reason.SATURATED, Reason.AGENT_RESTARTED}, "AgentRestarted", id="of equals"),
        pytest.param(
            {Reason.AGENT_RESTARTED, Reason.STATUS_TAMPERED}, "StatusTampered", id="an edit first"
        ),
    ],
)
def test_complete_names_the_worst_doubt(doubts: set[Reason], reason: str) -> None:
    condition = complete(frozenset(doubts), known=True)
    assert condition.reason == reason
    assert condition.status == ("True" if reason == "Exact" else "False")


def test_nothing_is_complete_before_anything_was_read() -> None:
    assert complete(frozenset(), known=False).status == "Unknown"


@pytest.mark.parametrize("doubt", list(Reason), ids=[reason.value for reason in Reason])
def test_every_doubt_has_its_words(doubt: Reason) -> None:
    assert len(complete(frozenset({doubt}), known=True).message) > 10
