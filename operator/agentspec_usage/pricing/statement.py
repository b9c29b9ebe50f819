"""A statement: who used what in a period, and what each is charged, so that it adds up.

Amounts are exact until they are shown. Shown, each is rounded once to the digits that people pay
in, and what rounding took or gave is distributed: to the lines that lost most by it, the largest
remainder first. So the lines sum to the total, which is the exact sum, rounded.

A line that has no price at all has no amount; one with a part that has none says so. Currencies are
never added: each has its total.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.pricing.money import PICO, Money, amounts_left, by_currency

__all__ = ["Account", "Statement", "StatementLine", "Usage", "statement"]

Account = tuple[str, ...]
"""To whom a line is charged: the values of the dimensions, such as (namespace, agent, model)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account used. ``unpriced`` and ``estimated`` count calls."""

    account: Account
    counts: TokenCounts
    costs: tuple[Money, ...]
    unpriced: int = 0
    estimated: int = 0


@dataclass(frozen=True, slots=True)
class StatementLine:
    """A line in one currency. ``amount`` is rounded, ``exact`` is not; None without any price."""

    account: Account
    counts: TokenCounts
    currency: str
    exact: Money | None
    amount: Decimal | None
    unpriced: int
    estimated: int


@dataclass(frozen=True, slots=True)
class Statement:
    """Lines, the dearest first, and for each currency the total that they sum to."""

    lines: tuple[StatementLine, ...]
    totals: dict[str, Decimal]
    counts: TokenCounts
    unpriced: int
    estimated: int


def statement(
    usage: Iterable[Usage],
    account: Callable[[Account], Account] = lambda whole: whole,
    digits: int = 2,
) -> Statement:
    """The statement of ``usage``, added up by ``account``, in amounts of so many digits.

    An account with amounts in several currencies has a line for each; its counts stand in the
    first, so that they are not counted twice.
    """
    accounts: dict[Account, Usage] = {}
    for used in usage:
        name = account(used.account)
        known = accounts.get(name, Usage(name, ZERO, ()))
        accounts[name] = Usage(
            name,
            known.counts + used.counts,
            by_currency((*known.costs, *used.costs)),
            known.unpriced + used.unpriced,
            known.estimated + used.estimated,
        )
    lines = [line for used in accounts.values() for line in _lines(used)]
    rounded: dict[int, Decimal] = {}
    totals: dict[str, Decimal] = {}
    for currency in sorted({line.currency for line in lines if line.exact is not None}):
        places = [
            place
            for place, line in enumerate(lines)
            if line.exact is not None and line.currency == currency
        ]
        exact = [money.pico for place in places if (money := lines[place].exact) is not None]
        amounts, totals[currency] = _rounded(exact, digits)
        rounded.update(zip(places, amounts, strict=True))
    shown = [
        StatementLine(
            line.account,
            line.counts,
            line.currency,
            line.exact,
            rounded.get(place),
            line.unpriced,
            line.estimated,
        )
        for place, line in enumerate(lines)
    ]
    shown.sort(key=lambda line: (-(line.exact.pico if line.exact else -1), line.account))
    counts = ZERO
    for used in accounts.values():
        counts += used.counts
    return Statement(
        tuple(shown),
        totals,
        counts,
        sum(used.unpriced for used in accounts.values()),
        sum(used.estimated for used in accounts.values()),
    )


def _lines(used: Usage) -> Iterable[StatementLine]:
    calls = used.counts.calls
    costs = amounts_left(used.costs, priced=not calls or used.unpriced < calls)
    first = costs[0] if costs else None
    currency = first.currency if first else ""
    yield StatementLine(
        used.account, used.counts, currency, first, None, used.unpriced, used.estimated
    )
    for money in costs[1:]:
        yield StatementLine(used.account, ZERO, money.currency, money, None, 0, 0)


def _rounded(exact: list[int], digits: int) -> tuple[list[Decimal], Decimal]:
    """Amounts (10^-12) rounded to ``digits``, so that they sum to their rounded sum."""
    step = PICO // 10**digits
    total = _nearest(sum(exact), step)
    whole = [amount // step for amount in exact]
    missing = total - sum(whole)
    # Floors fall short of the total by less than one step a line: the largest remainders go up.
    order = sorted(range(len(exact)), key=lambda place: (-(exact[place] % step), place))
    for place in order[:missing]:
        whole[place] += 1
    return [_decimal(steps, digits) for steps in whole], _decimal(total, digits)


def _nearest(amount: int, step: int) -> int:
    """Steps nearest to ``amount``; half of one goes to the even neighbour."""
    steps, rest = divmod(amount, step)
    return steps + (rest * 2 > step or (rest * 2 == step and steps % 2 == 1))


def _decimal(steps: int, digits: int) -> Decimal:
    return Decimal(f"{steps}E-{digits}")
