"""Random usage of a day, priced entry by entry as the store prices it, and summed up as it sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.book import Unpriced
from agentspec_usage.pricing.charge import charge
from agentspec_usage.pricing.focus.rows import Export
from agentspec_usage.pricing.focus.usage import Attribution, DayUsage
from agentspec_usage.pricing.rates import Rates, UnitPrices, price_tier
from tests.unit.pricing.rates import any_rates, lawful_counts

NOVEMBER = Span(20_758 * DAY_MS, 20_788 * DAY_MS)
EXPORT = Export(NOVEMBER, "ledger-1", "prod", 7)
WHO = Attribution("team-a", "planner", "cc-1", "search")
SERIES = SeriesKey("acme", "model-1")


def unit_prices(
    rates: Rates,
    units: tuple[tuple[str, int, int], ...] = (),
    *,
    sku: str = "acme/model",
    currency: str = "USD",
) -> UnitPrices:
    """Prices of one tier, as a price card holds them."""
    return UnitPrices(sku, f"{sku}@then", currency, (price_tier(0, rates),), units)


@dataclass(frozen=True)
class Entry:
    """What the journal has of a call, or of several."""

    counts: TokenCounts
    requests: Mapping[str, int]

    def charged(self, prices: UnitPrices, series: SeriesKey = SERIES) -> DayUsage:
        """The entry as the store would keep it: with its money, or with the reason for none."""
        made = charge(self.counts, self.requests, prices, series.context_class)
        if isinstance(made, Unpriced):
            return DayUsage(
                NOVEMBER.start,
                WHO,
                series,
                "book 1",
                made.reason,
                self.counts.as_tuple(),
                requests=self.requests,
            )
        return DayUsage(
            NOVEMBER.start,
            WHO,
            series,
            "book 1",
            prices,
            self.counts.as_tuple(),
            made.amount.pico,
            self.requests,
            self.counts.calls if made.doubts else 0,
        )


def summed(entries: Sequence[DayUsage]) -> DayUsage:
    """Entries of one day, account, series and price as the one sum that is kept of them."""
    requests: dict[str, int] = {}
    for entry in entries:
        for name, quantity in entry.requests.items():
            requests[name] = requests.get(name, 0) + quantity
    return replace(
        entries[0],
        counts=tuple(map(sum, zip(*(entry.counts for entry in entries), strict=True))),
        pico=sum(entry.pico for entry in entries),
        requests=requests,
        estimated=sum(entry.estimated for entry in entries),
    )


def reversed_entry(entry: DayUsage) -> DayUsage:
    """What takes ``entry`` back."""
    return replace(
        entry,
        counts=tuple(-count for count in entry.counts),
        pico=-entry.pico,
        requests={name: -quantity for name, quantity in entry.requests.items()},
        estimated=-entry.estimated,
    )


_count = st.integers(0, 10**6)
any_counts = st.builds(TokenCounts, *[_count] * 13, st.integers(1, 9))
"""Counts that may contradict each other: parts beyond their whole, parts that overlap."""

_units = st.sampled_from(("web_search", "pages", "input"))
any_requests = st.dictionaries(_units, st.integers(1, 100), max_size=2)
any_units = st.lists(_units, unique=True, max_size=3).flatmap(
    lambda names: st.tuples(*(st.tuples(st.just(name), _count, _count) for name in sorted(names)))
)
lawful_entries = st.lists(st.builds(Entry, lawful_counts(), any_requests), min_size=1, max_size=4)
any_entries = st.lists(
    st.builds(Entry, lawful_counts() | any_counts, any_requests), min_size=1, max_size=4
)
any_prices = st.builds(unit_prices, any_rates, any_units)


_word = st.sampled_from(("", "x", "=1+1", "-cmd", "@sum", 'say "hi", then', "line\nbreak", "ü"))


@st.composite
def any_part(draw: st.DrawFn) -> list[DayUsage]:
    """A part of a file: sums of several days, accounts and models; some do not add up."""
    part = []
    for place in range(draw(st.integers(0, 5))):
        series = SeriesKey(
            draw(_word),
            draw(_word),
            service_tier=draw(_word),
            region=draw(_word),
            batch=draw(st.booleans()),
        )
        prices = replace(
            draw(any_prices),
            sku=f"acme/model-{place}",
            currency=draw(st.sampled_from(("USD", "EUR"))),
        )
        entries = [entry.charged(prices, series) for entry in draw(any_entries)]
        priced = [entry for entry in entries if entry.prices is prices]
        chosen = draw(st.sampled_from((entries[:1], priced or entries[:1])))
        used = summed(chosen)
        part.append(
            replace(
                used,
                day=NOVEMBER.start + draw(st.integers(0, 29)) * DAY_MS,
                attribution=Attribution("ns", f"agent-{place % 2}", draw(_word), draw(_word)),
            )
        )
        if draw(st.booleans()):
            day = NOVEMBER.start - draw(st.integers(1, 60)) * DAY_MS
            part.append(replace(reversed_entry(part[-1]), day=day, correction=True))
    return part
