"""A bad price book is refused whole, with the line and what was expected there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.pricebook.catalogue import bundled_catalogue
from agentspec_usage.pricebook.errors import PriceBookError
from agentspec_usage.pricebook.price_file import read_price_book

HEAD = "currency: USD\nentries:\n- match: {model: m}\n"


@pytest.mark.parametrize(
    ("text", "line", "path", "expected"),
    [
        pytest.param(
            HEAD + "  tiers:\n  - input: 1\n    outptu: 2\n",
            6,
            "entries[0].tiers[0].outptu",
            "no such field",
            id="a misspelt price",
        ),
        pytest.param(
            HEAD + "  tiers:\n  - input: -1\n",
            5,
            "entries[0].tiers[0].input",
            "a decimal number from 0",
            id="a negative price",
        ),
        pytest.param(
            HEAD + "  tiers:\n  - input: .nan\n",
            5,
            "entries[0].tiers[0].input",
            "a decimal number from 0",
            id="no number",
        ),
        pytest.param(
            HEAD + "  tiers:\n  - input: true\n",
            5,
            "entries[0].tiers[0].input",
            "a decimal number from 0",
            id="a truth",
        ),
        pytest.param(
            HEAD
            + "  tiers:\n  - input: 1\n  - aboveInputTokens: 5\n    cacheWrite:\n      2h: 4\n",
            8,
            "entries[0].tiers[1].cacheWrite.2h",
            "no such field",
            id="a lifetime that nobody sells",
        ),
        pytest.param(
            HEAD + "  from: yesterday\n  multiplier: 1\n",
            4,
            "entries[0].from",
            "a date",
            id="no date",
        ),
        pytest.param(
            HEAD + "  from: 2026-01-01T00:00:00\n  multiplier: 1\n",
            4,
            "entries[0].from",
            "a date",
            id="a time in nobody's zone",
        ),
        pytest.param(
            HEAD + "  from: 2026-01-01\n  to: 2026-01-01\n  multiplier: 1\n",
            3,
            "entries[0]",
            "a period that ends after it began",
            id="an empty period",
        ),
        pytest.param(HEAD, 3, "entries[0]", "an entry with tiers or multiplier", id="no price"),
        pytest.param(
            HEAD + "  tiers: [{aboveInputTokens: 5, input: 1}]\n",
            3,
            "entries[0]",
            "the first from aboveInputTokens 0",
            id="nothing for small calls",
        ),
        pytest.param(
            HEAD + "  tiers: [{input: 1}, {input: 2}]\n",
            3,
            "entries[0]",
            "tiers that ascend",
            id="two tiers of one size",
        ),
        pytest.param(
            "currency: EUR\nentries:\n- match: {model: m}\n  note: x\n  multiplier: 0.9\n",
            5,
            "entries[0].multiplier",
            "tiers as well",
            id="a discount in another currency than the catalogue's",
        ),
        pytest.param(
            "currency: dollars\nentries: []\n", 1, "currency", "[A-Z]{3}", id="no currency code"
        ),
        pytest.param("currency: USD\n", 1, "entries", "a value", id="no entries"),
        pytest.param(
            "currency: USD\ncurrency: EUR\nentries: []\n", 2, "currency", "once", id="a key twice"
        ),
        pytest.param(
            "currency: USD\nentries:\n- tiers: [{input: 1}]\n",
            3,
            "entries[0].match",
            "a value",
            id="nothing that it is for",
        ),
        pytest.param("- a\n- b\n", 1, "", "a mapping", id="a list"),
        pytest.param("", 1, "", "a mapping", id="nothing"),
        pytest.param("currency: [\n", 2, "", "YAML or JSON", id="no YAML"),
        pytest.param("a: &x [1]\nb: *x\n", 1, "", "no anchors", id="an anchor"),
        pytest.param("--- 1\n--- 2\n", 2, "", "YAML or JSON", id="two documents"),
        pytest.param("- " * 200_000, 1, "", "at most 16 levels", id="a tower"),
        pytest.param("# " + "x" * 1024 * 1024, 1, "", "at most", id="too large"),
    ],
)
def test_the_error_says_where_and_what(text: str, line: int, path: str, expected: str) -> None:
    with pytest.raises(PriceBookError) as caught:
        read_price_book(text, bundled_catalogue())
    assert (caught.value.line, caught.value.path) == (line, path)
    assert expected in str(caught.value)
    assert f"line {line}" in str(caught.value)


def test_an_error_does_not_repeat_what_stands_in_the_book() -> None:
    with pytest.raises(PriceBookError) as caught:
        read_price_book(HEAD + "  multiplier: s3cret\n", bundled_catalogue())
    assert "s3cret" not in str(caught.value)


_scalars = st.sampled_from(
    ["1", "0.5", "x", "", "[", "{", "}", "- ", ": ", "null", "!!int 3", "2026-01-01", "\t", "*"]
)
_names = st.sampled_from(
    ["currency", "entries", "match", "model", "tiers", "input", "from", "multiplier", "requests"]
)
_lines = st.builds(
    lambda depth, dash, name, scalar: "  " * depth + dash + name + ": " + scalar,
    st.integers(0, 3),
    st.sampled_from(["", "- "]),
    _names,
    _scalars,
)


@given(st.lists(_lines, max_size=8).map("\n".join) | st.text(max_size=200))
def test_whatever_is_written_is_a_book_or_an_error_with_a_line(text: str) -> None:
    try:
        line = int(bool(read_price_book(text, bundled_catalogue()).version))
    except PriceBookError as error:
        line = error.line
    assert 1 <= line <= len(text.splitlines()) + 2
