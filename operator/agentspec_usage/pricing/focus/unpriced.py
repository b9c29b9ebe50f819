"""What was used and has no price: said beside the file of charges, never in it as a charge of zero.

Every token is in one of the two: the quantities of the file and these sum to what was used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agentspec_usage.metering.counts import COMPONENTS
from agentspec_usage.pricing.book import UnpricedReason
from agentspec_usage.pricing.charge import SERVED_FROM_CACHE
from agentspec_usage.pricing.focus.lines import lines_of
from agentspec_usage.pricing.focus.meters import meter_of
from agentspec_usage.pricing.focus.usage import Attribution, DayUsage
from agentspec_usage.pricing.rates import TokenType

__all__ = ["UnpricedUsage", "unpriced_of"]

_INPUT, _OUTPUT, _UNMETERED = map(COMPONENTS.index, ("input", "output", "unmetered_calls"))

UNMETERED_CALLS = "Unmetered Calls"
"""The meter of calls of which it is not known what they used."""


@dataclass(frozen=True, slots=True, order=True)
class UnpricedUsage:
    """A quantity without a price. ``meter`` is as in the file of charges."""

    attribution: Attribution
    provider: str
    model: str
    reason: UnpricedReason
    meter: str
    quantity: int


def unpriced_of(used: Iterable[DayUsage]) -> tuple[UnpricedUsage, ...]:
    """The sums of what has no price, in a fixed order."""
    sums: dict[tuple[Attribution, str, str, UnpricedReason, str], int] = {}
    for each in used:
        for reason, meter, quantity in _unpriced(each):
            key = (each.attribution, each.series.provider, each.series.model, reason, meter)
            sums[key] = sums.get(key, 0) + quantity
    return tuple(
        UnpricedUsage(*key, quantity) for key, quantity in sorted(sums.items()) if quantity
    )


def _unpriced(used: DayUsage) -> Iterator[tuple[UnpricedReason, str, int]]:
    if isinstance(used.prices, UnpricedReason):
        yield used.prices, meter_of(TokenType.INPUT).name, used.counts[_INPUT]
        yield used.prices, meter_of(TokenType.OUTPUT).name, used.counts[_OUTPUT]
        for name, quantity in used.requests.items():
            if name != SERVED_FROM_CACHE:
                yield used.prices, meter_of(name).name, quantity
    for line in lines_of(used):
        if line.rate is None:
            yield UnpricedReason.NO_RATE, meter_of(line.type).name, line.quantity
    yield UnpricedReason.UNMETERED, UNMETERED_CALLS, used.counts[_UNMETERED]
