"""The bundled catalogue: the data of genai-prices, converted into our unit prices on first use.

Its data is used and its arithmetic is not: one calculation of the library takes 50 µs, because it
validates and matches everything anew, where a few products of integers do. Which model a name means
and which prices were in force when are the library's answers all the same, asked once for a key and
a stretch of time.

Three answers differ, each on purpose. What the library counts as free for want of a price has no
price here. What it refuses to price because a detail is missing (which of the cached tokens were
audio) is estimated. A service tier or batch that it knows no price for is an estimate too, at the
standard price.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version

from genai_prices.data import providers as _PROVIDERS
from genai_prices.types import ModelInfo, Provider

from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricebook.catalogue_rates import tiers_of, units_of
from agentspec_usage.pricebook.price_context import PriceContext, price_context
from agentspec_usage.pricebook.provider_names import catalogue_id, is_self_hosted
from agentspec_usage.pricebook.schedule import PriceSchedule, schedule_of
from agentspec_usage.pricing.book import Unpriced, UnpricedReason
from agentspec_usage.pricing.rates import Doubt, UnitPrices, scaled

__all__ = ["CURRENCY", "Catalogue", "bundled_catalogue"]

CURRENCY = "USD"
"""Of every price in the catalogue."""

_MEMORY = 4096
"""Keys whose prices are kept: a stranger may make up as many models as he likes."""

_FREE_UNITS = {"anthropic": (("web_fetch", 0, 0),)}
"""Units that a provider reports and, by its published prices, does not charge for."""

_US_UPLIFT = Decimal("1.1")
_WITHOUT_UPLIFT = re.compile(r"claude-(?:[1-3]|v\d|haiku-4|opus-4-[015]|sonnet-4-[05])")
"""Anthropic asks 1.1 times the price for inference in the US alone, of models since Claude Opus 4.6
and Sonnet 4.6."""

_Found = PriceSchedule[UnitPrices] | Unpriced | None

_TableKey = tuple[str, int, tuple[tuple[str, str], ...], tuple[tuple[str, Doubt], ...], bool, bool]


class Catalogue:
    """A ``PriceBook`` on a list of the library's providers."""

    def __init__(self, providers: list[Provider], version: str) -> None:
        self.version = version
        self.currency = CURRENCY
        self._providers = providers
        self._ids = {provider.id: provider for provider in providers}
        self._known: dict[tuple[str, str, str, str, bool], _Found] = {}
        # By what the numbers depend on: the catalogue bounds it, whatever names there are.
        self._tables: dict[_TableKey, PriceSchedule[UnitPrices]] = {}

    def find(self, key: SeriesKey, at: int) -> UnitPrices | Unpriced | None:
        """The published prices in force at ``at`` (ms, UTC)."""
        context = (key.provider, key.model, key.service_tier, key.region, key.batch)
        try:
            found = self._known[context]
        except KeyError:
            found = self._schedule(key)
            if len(self._known) >= _MEMORY:
                self._known.clear()
            self._known[context] = found
        return found.at(at) if isinstance(found, PriceSchedule) else found

    def _schedule(self, key: SeriesKey) -> _Found:
        if is_self_hosted(key.provider):
            return Unpriced(UnpricedReason.SELF_HOSTED)
        context = price_context(key)
        if context.provisioned:
            return Unpriced(UnpricedReason.PROVISIONED)
        name = key.model.lower()
        provider, certain = self._provider(key.provider, name)
        if provider is None and key.provider.lower() == "litellm":
            prefix, _, rest = name.partition("/")
            provider, certain = self._provider(prefix, rest)
            name = rest
        if provider is None:
            return Unpriced(UnpricedReason.UNKNOWN_PROVIDER) if key.provider else None
        model = provider.find_model(name, all_providers=self._providers)
        if model is None:
            return None
        return self._table(provider, model, context, key.region.lower(), certain)

    def _table(
        self,
        provider: Provider,
        model: ModelInfo,
        context: PriceContext,
        region: str,
        certain: bool,
    ) -> PriceSchedule[UnitPrices]:
        # Another provider's variants are that provider's.
        own = any(model is candidate for candidate in provider.models)
        variants = (model.price_variants or ()) if own else ()
        words = {
            word: value
            for word, value in context.words.items()
            if any(variant.when.get(word) == value for variant in variants)
        }
        uplifted = (
            provider.id == "anthropic" and region == "us" and not _WITHOUT_UPLIFT.match(model.id)
        )
        key = (
            provider.id,
            id(model),
            tuple(sorted(words.items())),
            tuple(sorted(context.doubts.items())),
            certain,
            uplifted,
        )
        table = self._tables.get(key)
        if table is None:
            doubts = () if certain else (Doubt.PROVIDER,)
            table = _priced(provider, model, words, context.doubts, doubts)
            if uplifted:
                table = table.map(_uplifted)
            self._tables[key] = table
        return table

    def _provider(self, name: str, model: str) -> tuple[Provider | None, bool]:
        """The provider, and whether it is certain that it is meant."""
        if not name:
            return self._matching(model, by_model=True), False
        exact = self._ids.get(catalogue_id(name))
        if exact is not None:
            return exact, True
        return self._matching(name.strip().lower(), by_model=False), False

    def _matching(self, text: str, *, by_model: bool) -> Provider | None:
        for provider in self._providers:
            match = provider.model_match if by_model else provider.provider_match
            if match is not None and match.is_match(text):
                return provider
        return None


@lru_cache(maxsize=1)
def bundled_catalogue() -> Catalogue:
    """The catalogue that comes with the installed genai-prices."""
    return Catalogue(_PROVIDERS, f"genai-prices {version('genai-prices')}")


def _priced(
    provider: Provider,
    model: ModelInfo,
    words: Mapping[str, str],
    open_questions: Mapping[str, Doubt],
    doubts: tuple[Doubt, ...],
) -> PriceSchedule[UnitPrices]:
    sku = f"{provider.id}/{model.id}"

    def convert(moment: datetime) -> UnitPrices:
        answered = set(_answered(model, words, moment))
        unanswered = {
            doubt for word, doubt in open_questions.items() if not answered & _same_question(word)
        }
        # Only what chose the numbers is in their name; an agent can claim any tier.
        variant = "".join(f";{word}={words[word]}" for word in sorted(answered))
        prices = model.get_prices(moment, words or None)
        return UnitPrices(
            sku=sku,
            price_id=f"{sku}{variant}@{moment:%Y-%m-%dT%H:%M}Z",
            currency=CURRENCY,
            tiers=tiers_of(prices),
            units=(*units_of(prices), *_FREE_UNITS.get(provider.id, ())),
            doubts=(*doubts, *sorted(unanswered)),
        )

    return schedule_of(model, convert)


def _uplifted(prices: UnitPrices) -> UnitPrices:
    return scaled(prices, _US_UPLIFT, f"{prices.price_id};region=us", as_list_price=True)


def _answered(model: ModelInfo, words: Mapping[str, str], moment: datetime) -> Iterator[str]:
    """The words for which the model has a variant in force."""
    for variant in model.price_variants or ():
        if variant.constraint is not None and not variant.constraint.active(moment):
            continue
        if all(words.get(word) == value for word, value in variant.when.items()):
            yield from variant.when


def _same_question(word: str) -> set[str]:
    """Fast is a tier with one provider and a speed with another."""
    return {"service_tier", "speed"} if word == "service_tier" else {word}
