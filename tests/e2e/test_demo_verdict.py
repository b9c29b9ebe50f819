"""When the demo's numbers count as equal, and that it says so where they are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from examples.demo.cast import SampleAgent
from examples.demo.comparing import Comparison, Shown, report

SDK = SampleAgent("support-bot", "support_bot", "", registered=True)
BOTH = SampleAgent("writer", "writer", "", sidecar=True, registered=True)
SIDECAR_ALONE = SampleAgent("checkout", "checkout", "", counts=False, sidecar=True, registered=True)
SILENT = SampleAgent("gymcoach", "gymcoach", "")
UNREADABLE = SampleAgent("flaky", "flaky", "", counts=False, readable=False)

METERED = Shown(90, "True", "Metered")
EQUAL = Comparison(BOTH, METERED, billed=90, said=90, said_by_sidecar=90, stored=90)


@pytest.mark.parametrize(
    "comparison",
    [
        pytest.param(EQUAL, id="five equal numbers"),
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
    assert "NOT EQUAL" not in report([comparison])


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
        pytest.param(
            {
                **dict.fromkeys(("billed", "said", "said_by_sidecar", "stored"), 0),
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
    assert "NOT EQUAL" in report([comparison])
