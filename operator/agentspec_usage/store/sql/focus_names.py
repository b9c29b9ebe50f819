"""What the numbers of accounts, series and prices stand for, read once each."""

from __future__ import annotations

from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.book import UnpricedReason
from agentspec_usage.pricing.card import read_card
from agentspec_usage.pricing.focus.usage import Attribution, DayUsage
from agentspec_usage.pricing.rates import UnitPrices
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.focus_cells import Cell, Sum

__all__ = ["Names"]

_ACCOUNT = """
    SELECT namespace, name, accounts.cost_center, team FROM accounts JOIN agents USING (agent)
    WHERE account = ?"""

_SERIES = """
    SELECT provider, model, operation, service_tier, region, batch, context_class FROM series
    WHERE series = ?"""

_PRICE = """
    SELECT catalogue, reason, price_id, sku, currency, above, card FROM prices WHERE price = ?"""


class Names:
    """Remembers what it read: as much as a file has accounts, models and prices."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._accounts: dict[int, Attribution] = {}
        self._series: dict[int, SeriesKey] = {}
        self._prices: dict[int, tuple[str, UnitPrices | UnpricedReason]] = {}

    def usage(self, cell: Cell, total: Sum) -> DayUsage:
        """The sum, by name."""
        catalogue, prices = self._price(cell.price)
        return DayUsage(
            cell.day,
            self._account(cell.account),
            self._key(cell.series),
            catalogue,
            prices,
            tuple(total.counts),
            total.pico,
            {name: quantity for name, quantity in total.requests.items() if quantity},
            total.estimated,
            bool(cell.correction),
        )

    def _account(self, number: int) -> Attribution:
        found = self._accounts.get(number)
        if found is None:
            found = Attribution(*self._connection.execute(_ACCOUNT, (number,)).fetchone())
            self._accounts[number] = found
        return found

    def _key(self, number: int) -> SeriesKey:
        found = self._series.get(number)
        if found is None:
            row = self._connection.execute(_SERIES, (number,)).fetchone()
            provider, model, operation, tier, region, batch, context = row
            found = SeriesKey(provider, model, operation, tier, region, bool(batch), context)
            self._series[number] = found
        return found

    def _price(self, number: int) -> tuple[str, UnitPrices | UnpricedReason]:
        found = self._prices.get(number)
        if found is None:
            row = self._connection.execute(_PRICE, (number,)).fetchone()
            catalogue, reason, price_id, sku, currency, above, card = row
            prices: UnitPrices | UnpricedReason
            if reason:
                prices = UnpricedReason(reason)
            else:
                prices = read_card(card, sku=sku, price_id=price_id, currency=currency, above=above)
            found = self._prices[number] = (catalogue, prices)
        return found
