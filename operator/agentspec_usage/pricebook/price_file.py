"""A price book of one's own: contract discounts, self-hosted models, another currency.

Entries are tried in the order of the file, and the first that matches the call and is in force
decides; what none matches is the catalogue's. An entry gives prices of its own (``tiers``), a
factor on them (``multiplier``: the tiers are the list price then), or a factor alone on what the
catalogue says.

A book is taken whole or refused with the line: an entry left out would be silently replaced by the
next match. A file and the text in a ConfigMap are one format.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from dataclasses import dataclass
from decimal import Decimal

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricebook.book_shapes import BookShape, EntryShape, MatchShape
from agentspec_usage.pricebook.document import Document, read_document
from agentspec_usage.pricebook.errors import PriceBookError
from agentspec_usage.pricing.book import PriceBook, Unpriced
from agentspec_usage.pricing.charge import CALLS
from agentspec_usage.pricing.rates import UnitPrices, price_tier, scaled

__all__ = ["PriceFile", "read_price_book"]

_MEMORY = 4096
"""Keys and prices that are kept: a stranger may make up as many models as he likes."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """``prices`` is None for a factor on what the catalogue says."""

    provider: re.Pattern[str]
    model: re.Pattern[str]
    match: MatchShape
    since: int
    until: int | None
    prices: UnitPrices | None
    factor: Decimal | None
    name: str

    def is_for(self, key: SeriesKey) -> bool:
        match = self.match
        return (
            self.provider.match(key.provider.lower()) is not None
            and self.model.match(key.model.lower()) is not None
            and match.service_tier in (None, key.service_tier)
            and match.region in (None, key.region)
            and match.operation in (None, key.operation)
            and match.batch in (None, key.batch)
        )

    def holds(self, at: int) -> bool:
        return self.since <= at and (self.until is None or at < self.until)


class PriceFile:
    """A ``PriceBook`` of entries before another book."""

    def __init__(
        self, entries: tuple[_Entry, ...], below: PriceBook, version: str, currency: str
    ) -> None:
        self.version = version
        self.currency = currency
        self._entries = entries
        self._below = below
        self._matching: dict[SeriesKey, tuple[_Entry, ...]] = {}
        self._discounted: dict[tuple[str, str], UnitPrices] = {}

    def find(self, key: SeriesKey, at: int) -> UnitPrices | Unpriced | None:
        """The prices of the first entry in force, else those of the book below."""
        entries = self._matching.get(key)
        if entries is None:
            entries = tuple(entry for entry in self._entries if entry.is_for(key))
            if len(self._matching) >= _MEMORY:
                self._matching.clear()
            self._matching[key] = entries
        for entry in entries:
            if entry.holds(at):
                return entry.prices or self._discount(entry, self._below.find(key, at))
        return self._below.find(key, at)

    def _discount(
        self, entry: _Entry, found: UnitPrices | Unpriced | None
    ) -> UnitPrices | Unpriced | None:
        if not isinstance(found, UnitPrices) or entry.factor is None:
            return found
        # Doubts are no numbers: two contexts can share the prices and not the doubts.
        name = (entry.name, found.price_id + "".join(found.doubts))
        prices = self._discounted.get(name)
        if prices is None:
            prices = scaled(found, entry.factor, f"{found.price_id};{entry.name}")
            if len(self._discounted) >= _MEMORY:
                self._discounted.clear()
            self._discounted[name] = prices
        return prices


def read_price_book(text: str, below: PriceBook) -> PriceFile:
    """The book that ``text`` (YAML or JSON) describes, before ``below``.

    Raises ``PriceBookError``, which names the line and what was expected there.
    """
    document = read_document(text)
    try:
        shape = BookShape.model_validate(document.value)
    except ValidationError as error:
        raise _located(document, error) from None
    entries = []
    for at, entry in enumerate(shape.entries):
        if not entry.tiers and shape.currency != below.currency:
            raise PriceBookError(
                document.line_of(("entries", at, "multiplier")),
                f"entries[{at}].multiplier",
                f"tiers as well, because the catalogue is in {below.currency} and this book in "
                f"{shape.currency}",
            )
        entries.append(_entry(entry, shape.currency, f"entries[{at}]"))
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
    version = f"sha256:{digest} over {below.version}"
    return PriceFile(tuple(entries), below, version, shape.currency)


def _entry(shape: EntryShape, currency: str, name: str) -> _Entry:
    prices = None
    if shape.tiers:
        fees = dict(shape.tiers[0].requests)
        call = fees.pop(CALLS, None)
        prices = UnitPrices(
            sku=f"{shape.match.provider}/{shape.match.model}",
            price_id=f"book/{name}",
            currency=currency,
            tiers=tuple(
                price_tier(tier.above_input_tokens, tier.rates(call)) for tier in shape.tiers
            ),
            units=tuple((unit, rate, rate) for unit, rate in sorted(fees.items())),
        )
        if shape.multiplier is not None:
            prices = scaled(prices, shape.multiplier, prices.price_id)
    return _Entry(
        _glob(shape.match.provider),
        _glob(shape.match.model),
        shape.match,
        shape.since,
        shape.until,
        prices,
        shape.multiplier,
        name,
    )


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern.lower()))


def _located(document: Document, error: ValidationError) -> PriceBookError:
    """The first thing that is wrong, by line and path. It never repeats what stands there: a book
    can come from a Secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    location = tuple(part for part in first["loc"] if part != "[key]")
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return PriceBookError(document.line_of(location), path, _expectation(first))


def _expectation(first: ErrorDetails) -> str:
    match first["type"]:
        case "missing":
            return "a value"
        case "extra_forbidden":
            return "no such field"
        case "model_type" | "dict_type":
            return "a mapping"
        case "list_type":
            return "a list"
        case "string_type":
            return "a text"
        case "string_pattern_mismatch":
            return f"a text that matches {first['ctx']['pattern']}"
        case _:
            return first["msg"].removeprefix("Input should be ")
