"""What a stranger wrote is a text to every spreadsheet."""

from __future__ import annotations

import pytest

from agentspec_usage.export.cells import cell


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("=1+1", id="formula"),
        pytest.param("+1", id="plus"),
        pytest.param("-2+3", id="minus"),
        pytest.param("@SUM(A1)", id="at"),
        pytest.param("\t=1", id="tab"),
        pytest.param("\r=1", id="carriage return"),
        pytest.param("\n=1", id="line feed"),
        pytest.param("\uff1d1", id="full-width equals"),
    ],
)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "gpt-5", "a=b", "'quoted", '{"team": "x"}', "org/model"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert cell(text) == text
