"""A price book answers one question: what does this model cost, called like this, then?

The key is a series key, because that is what makes two calls have the same price; its context class
is not looked at, it chooses among the tiers later. ``None`` means that the book does not know the
model, so that the next book may be asked; ``Unpriced`` that nobody shall be asked, because there is
no price by design.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.rates import UnitPrices

__all__ = ["PriceBook", "Unpriced", "UnpricedReason"]


class UnpricedReason(StrEnum):
    """Why there is no amount. Closed, because it appears in statements and metrics."""

    UNKNOWN_MODEL = "UnknownModel"
    UNKNOWN_PROVIDER = "UnknownProvider"
    SELF_HOSTED = "SelfHosted"
    """A model on one's own machines costs what these cost: a price book may say it."""
    PROVISIONED = "Provisioned"
    """Capacity was bought; its tokens have no price each."""
    UNMETERED = "Unmetered"
    """What the calls used is not known."""
    NO_RATE = "NoRate"
    """The model has prices, but for nothing of what was used."""
    IMPLAUSIBLE = "Implausible"
    """The counts are such that nobody could have been charged for them."""


@dataclass(frozen=True, slots=True)
class Unpriced:
    """No amount, which is not an amount of zero."""

    reason: UnpricedReason


class PriceBook(Protocol):
    """Where unit prices come from."""

    @property
    def version(self) -> str:
        """Names the whole content: the same version gives the same charge for ever."""
        ...

    @property
    def currency(self) -> str:
        """The currency that its reader thinks in; a single price may be in another one."""
        ...

    def find(self, key: SeriesKey, at: int) -> UnitPrices | Unpriced | None:
        """The prices in force at ``at`` (ms, UTC); None when the book does not know the model."""
        ...
