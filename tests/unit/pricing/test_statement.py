"""A statement adds up, to the last digit that it shows."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.pricing.money import PICO, Money
from agentspec_usage.pricing.statement import Usage, statement

CENT = PICO // 100


def used(*account: str, pico: int | None = None, calls: int = 1, currency: str = "USD") -> Usage:
    counts = TokenCounts(input=100 * calls, output=10 * calls, calls=calls)
    costs = () if pico is None else (Money(pico, currency),)
    return Usage(account, counts, costs, unpriced=calls if pico is None else 0)


usages = st.lists(
    st.builds(
        lambda account, pico, calls, currency: used(
            account, pico=pico, calls=calls, currency=currency
        ),
        st.sampled_from(["a", "b", "c", "d"]),
        st.none() | st.integers(0, 10**15),
        st.integers(1, 9),
        st.sampled_from(["USD", "EUR"]),
    ),
    max_size=30,
)


@given(usages, st.integers(0, 6))
def test_the_lines_sum_to_the_total_which_is_the_exact_sum_rounded(
    usage: list[Usage], digits: int
) -> None:
    made = statement(usage, digits=digits)
    step = Decimal(1).scaleb(-digits)
    for currency, total in made.totals.items():
        lines = [line for line in made.lines if line.currency == currency]
        assert sum(line.amount or 0 for line in lines) == total
        exact = sum(
            money.amount for one in usage for money in one.costs if money.currency == currency
        )
        assert abs(total - exact) <= step / 2
        for line in lines:
            if line.amount is not None and line.exact is not None:
                assert abs(line.amount - line.exact.amount) < step
    assert made.counts == sum_counts(one.counts for one in usage)
    assert sum_counts(line.counts for line in made.lines) == made.counts
    assert made.unpriced == sum(one.unpriced for one in usage)


def test_what_rounding_took_goes_to_the_lines_that_lost_most() -> None:
    thirds = [used(name, pico=CENT // 3 + (name == "b")) for name in "abc"]
    made = statement(thirds)
    assert made.totals == {"USD": Decimal("0.01")}
    assert {line.account: line.amount for line in made.lines} == {
        ("a",): Decimal("0.00"),
        ("b",): Decimal("0.01"),
        ("c",): Decimal("0.00"),
    }


def test_half_a_cent_goes_to_the_even_one() -> None:
    assert statement([used("a", pico=CENT // 2)]).totals == {"USD": Decimal("0.00")}
    assert statement([used("a", pico=3 * CENT // 2)]).totals == {"USD": Decimal("0.02")}


def test_what_has_no_price_has_no_amount_and_comes_last() -> None:
    made = statement([used("free?"), used("dear", pico=5 * CENT)])
    assert [(line.account, line.amount) for line in made.lines] == [
        (("dear",), Decimal("0.05")),
        (("free?",), None),
    ]
    assert made.unpriced == 1


def test_accounts_are_added_up_by_the_dimensions_that_are_asked_for() -> None:
    usage = [used("red", "web", pico=CENT), used("red", "bot", pico=2 * CENT), used("blue", "web")]
    made = statement(usage, lambda account: account[:1])
    assert [(line.account, line.amount, line.counts.calls) for line in made.lines] == [
        (("red",), Decimal("0.03"), 2),
        (("blue",), None, 1),
    ]


def test_two_currencies_have_two_lines_and_two_totals_and_count_once() -> None:
    usage = [used("a", pico=CENT), used("a", pico=7 * CENT, currency="EUR")]
    made = statement(usage)
    assert made.totals == {"EUR": Decimal("0.07"), "USD": Decimal("0.01")}
    assert [(line.currency, line.counts.calls) for line in made.lines] == [("EUR", 2), ("USD", 0)]


def test_nothing_used_makes_an_empty_statement() -> None:
    made = statement([])
    assert (made.lines, made.totals, made.counts) == ((), {}, TokenCounts())
