"""Standing estimates, and how delivered calls take them back.

An estimate is an entry like others; what stands of it is the sum of it and of all entries that
correct it. Taking back is another entry below zero, a *reversal*, under the prices that the
estimate has now, which are others than at first where it was priced anew.

What is left of an estimate costs what its counts cost by its own price card, so that estimates that
are taken back piece by piece leave nothing, to the last digit, and no catalogue is asked that may
have changed since. A reversal is dated where its estimate is, so that a day that gets its calls
loses its estimates; in a closed period neither changes, and both come as corrections.

Where a process turns out to be another agent's (``names``), its estimates move there: they are
taken back whole, and what is not delivered is charged anew to the other one, for the same time and
by the same prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentspec_usage.metering.counts import COMPONENTS, ZERO, TokenCounts
from agentspec_usage.metering.tail import Estimate, taken_back
from agentspec_usage.pricing.card import read_card
from agentspec_usage.pricing.charge import NO_REQUESTS, Charge, charge
from agentspec_usage.pricing.money import Money
from agentspec_usage.store.sql.agents import AgentRow
from agentspec_usage.store.sql.charging import Charged, money_of, split
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import Numbered
from agentspec_usage.store.sql.instances import InstanceRow
from agentspec_usage.store.sql.items import LOST, Entry, NewItems

__all__ = ["move_estimates", "take_back"]

_COUNTS = ", ".join(f"entry.{name}" for name in COMPONENTS)

_ENTRIES = f"""
    SELECT coalesce(entry.corrects, entry.item), entry.kind, entry.at,
    CASE WHEN entry.correction = 1 THEN entry.claimed_at END,
    entry.account, accounts.hash, entry.series, series.hash, series.context_class,
    entry.price, prices.hash, prices.currency, prices.price_id, prices.sku, prices.above,
    prices.card, entry.milli, entry.pico, entry.priced, entry.estimated, {_COUNTS}
    FROM items AS entry JOIN accounts USING (account) JOIN series USING (series)
    JOIN prices USING (price) WHERE entry."""

_OF_INSTANCE = "item IN (SELECT item FROM items WHERE instance = ? AND kind = 'estimate')"


@dataclass(frozen=True, slots=True)
class _Price:
    """A row of ``prices``, as far as it is needed to charge again."""

    number: int
    hash: str
    currency: str
    price_id: str
    sku: str
    above: int
    card: str


@dataclass(slots=True)
class _Standing:
    """An estimate and everything that corrected it, summed up; ``price`` is that of now."""

    item: int
    at: int
    corrected_at: int | None
    account: Numbered
    series: Numbered
    context_class: int
    price: _Price
    counts: list[int] = field(default_factory=lambda: [0] * len(COMPONENTS))
    pico: int = 0
    priced: int = 0
    estimated: int = 0


def take_back(
    new: NewItems, instance: InstanceRow, delivered: Mapping[int, TokenCounts]
) -> dict[int, TokenCounts]:
    """Add the reversals of what ``delivered`` takes back; how much that is, by series."""
    standing = _standing(new.connection, instance.number)
    falls: dict[int, TokenCounts] = {}
    for item, fall in _falls(new, standing, delivered).items():
        one = standing[item]
        new.add_entry(_reversal(new, instance, one, fall))
        _add(falls, one, fall)
    return falls


def move_estimates(
    new: NewItems,
    instance: InstanceRow,
    agent: AgentRow,
    to: InstanceRow,
    delivered: Mapping[int, TokenCounts],
) -> tuple[dict[int, TokenCounts], dict[int, TokenCounts]]:
    """Charge the agent what stands of the estimates of ``instance`` and ``delivered`` does not take
    back. How much ``instance`` loses by that, and how much ``to`` gets, both by series."""
    standing = _standing(new.connection, instance.number)
    falls = _falls(new, standing, delivered)
    lost: dict[int, TokenCounts] = {}
    moved: dict[int, TokenCounts] = {}
    for item, one in standing.items():
        counts = TokenCounts(*one.counts)
        if not any(one.counts):
            continue
        new.add_entry(_reversal(new, instance, one, counts))
        _add(lost, one, counts)
        if left := counts.increase_since(falls.get(item, ZERO)):
            new.add_entry(_moved(new, agent, to, one, left))
            _add(moved, one, left)
    return lost, moved


def _falls(
    new: NewItems, standing: Mapping[int, _Standing], delivered: Mapping[int, TokenCounts]
) -> dict[int, TokenCounts]:
    """What ``delivered`` takes back of each estimate, by its number."""
    estimates = [
        Estimate(one.item, one.series.number, TokenCounts(*one.counts))
        for one in standing.values()
        if any(one.counts)
    ]
    rest = new.series(LOST).number
    return {fall.item: fall.counts for fall in taken_back(estimates, delivered, rest)}


def _add(sums: dict[int, TokenCounts], one: _Standing, counts: TokenCounts) -> None:
    series = one.series.number
    sums[series] = sums.get(series, ZERO) + counts


def _standing(connection: Connection, instance: int) -> dict[int, _Standing]:
    """The instance's estimates, the oldest first."""
    found: dict[int, _Standing] = {}
    for column in ("item", "corrects"):
        rows = connection.execute(
            f"{_ENTRIES}{_OF_INSTANCE.replace('item', column, 1)} ORDER BY entry.item", (instance,)
        )
        for item, kind, at, corrected_at, account, of_account, series, *rest in rows:
            of_series, context_class, *rest = rest
            price = _Price(*rest[:7])
            milli, pico, priced, estimated, *counts = rest[7:]
            one = found.get(item)
            if one is None:
                owner, cell = Numbered(account, of_account), Numbered(series, of_series)
                one = _Standing(item, at, corrected_at, owner, cell, context_class, price)
                found[item] = one
            if kind == "charge":
                one.price = price
            one.counts = [a + b for a, b in zip(one.counts, counts, strict=True)]
            one.pico += money_of(milli, pico, "").pico
            one.priced += priced
            one.estimated += estimated
    return found


def _reversal(new: NewItems, instance: InstanceRow, one: _Standing, fall: TokenCounts) -> Entry:
    left = TokenCounts(*one.counts).increase_since(fall)
    milli, pico = split(Money(_cost(one, left) - one.pico))
    priced = (left.calls if one.priced else 0) - one.priced
    estimated = (left.calls if one.estimated else 0) - one.estimated
    at, claimed_at, correction = new.dated(one.at, one.corrected_at)
    return Entry(
        account=one.account,
        instance=instance,
        series=one.series,
        charged=Charged(one.price.number, one.price.hash, milli, pico, priced, estimated),
        kind="reversal",
        at=at,
        counts=TokenCounts(*(-count for count in fall.as_tuple())),
        corrects=one.item,
        claimed_at=claimed_at,
        correction=correction,
    )


def _moved(
    new: NewItems, agent: AgentRow, to: InstanceRow, one: _Standing, counts: TokenCounts
) -> Entry:
    """An estimate of ``counts`` as ``one`` is: of the same time, by the prices that it has now."""
    at, claimed_at, correction = new.dated(one.at, one.corrected_at)
    milli, pico = split(Money(_cost(one, counts)))
    priced = counts.calls if one.priced else 0
    estimated = counts.calls if one.estimated else 0
    return Entry(
        account=new.account(agent, ""),
        instance=to,
        series=one.series,
        charged=Charged(one.price.number, one.price.hash, milli, pico, priced, estimated),
        kind="estimate",
        at=at,
        counts=counts,
        claimed_at=claimed_at,
        correction=correction,
    )


def _cost(one: _Standing, counts: TokenCounts) -> int:
    """What ``counts`` cost by the prices that the estimate has now, in 10^-12."""
    price = one.price
    if not price.card:
        return 0
    prices = read_card(
        price.card,
        sku=price.sku,
        price_id=price.price_id,
        currency=price.currency,
        above=price.above,
    )
    made = charge(counts, NO_REQUESTS, prices, one.context_class)
    return made.amount.pico if isinstance(made, Charge) else 0
