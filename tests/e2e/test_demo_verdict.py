"""When the demo's numbers count as equal, and that it says so where they are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from examples.demo.cast import SampleAgent
from examples.demo.comparing import Comparison, Shown, Totals, report

SDK = SampleAgent("support-bot", "support_bot", "", registered=True)
BOTH = SampleAgent("writer", "writer", "", sidecar=True, registered=True)
SIDECAR_ALONE = SampleAgent("checkout", "checkout", "", counts=False, sidecar=True, registered=True)
SILENT = SampleAgent("gymcoach", "gymcoach", "")
UNREADABLE = SampleAgent("flaky", "flaky", "", counts=False, readable=False)

METERED = Shown(90, "True", "Metered")
EQUAL = Comparison(BOTH, METERED, billed=90, said=90, said_by_sidecar=90, stored=90, stated=90)


def reported(comparison: Comparison) -> str:
    """Of a demo with this agent alone."""
    return report([comparison], Totals.of([comparison], comparison.stated or 0))


@pytest.mark.parametrize(
    "comparison",
    [
        pytest.param(EQUAL, id="six equal numbers"),
        pytest.param(replace(EQUAL, agent=SDK, said_by_sidecar=None), id="no sidecar"),
        pytest.param(replace(EQUAL, agent=SIDECAR_ALONE, said=None), id="no SDK"),
        pytest.param(
            replace(EQUAL, agent=SILENT, said_by_sidecar=None, stored=None), id="nothing pushes"
        ),
        pytest.param(
            Comparison(UNREADABLE, Shown(None, "False", "BadResponse")),
            id="an agent that cannot be read is said to be",
        ),
    ],
)
def test_equal_numbers_hold(comparison: Comparison) -> None:
    assert comparison.holds
    assert "NOT EQUAL" not in reported(comparison)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"billed": 91}, id="the bill"),
        pytest.param({"billed": None}, id="no bill"),
        pytest.param({"said": 89}, id="the agent"),
        pytest.param({"said": None}, id="an agent that counts and says nothing"),
        pytest.param({"said_by_sidecar": 180}, id="a sidecar that counts twice"),
        pytest.param({"shown": replace(METERED, tokens=89)}, id="kubectl"),
        pytest.param({"shown": replace(METERED, ready="False")}, id="kubectl, which is not sure"),
        pytest.param({"stored": 89}, id="the store"),
        pytest.param({"stored": None}, id="nothing stored"),
        pytest.param({"stated": 91}, id="the statement"),
        pytest.param({"stated": None}, id="no line in the statement"),
        pytest.param(
            {
                **dict.fromkeys(("billed", "said", "said_by_sidecar", "stored", "stated"), 0),
                "shown": replace(METERED, tokens=0),
            },
            id="nothing happened",
        ),
        pytest.param({"agent": UNREADABLE}, id="a number of what cannot be read"),
    ],
)
def test_one_number_that_differs_is_named(changes: dict[str, Any]) -> None:
    comparison = replace(EQUAL, **changes)
    assert not comparison.holds
    assert "NOT EQUAL" in reported(comparison)


def test_a_statement_with_a_line_of_nobody_is_not_equal_in_all() -> None:
    totals = Totals.of([EQUAL, EQUAL], stated=181)
    assert (totals.billed, totals.shown) == (180, 180)
    assert not totals.holds
    *agents, last = report([EQUAL, EQUAL], totals).splitlines()[1:]
    assert [line.split()[-1] for line in agents] == ["equal", "equal"]
    assert last.split() == ["TOTAL", "180", "-", "-", "180", "-", "181", "NOT", "EQUAL"]
