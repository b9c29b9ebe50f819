"""How a call was made, in the words by which the catalogue tells its price variants apart.

Providers report the tier that served a call in words of their own (``priority``, Vertex'
``ON_DEMAND_PRIORITY``, Anthropic's ``batch`` and ``fast``); the catalogue has one word for each
thing that changes the price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.rates import Doubt

__all__ = ["PROCESSING", "STANDARD", "PriceContext", "price_context"]

PROCESSING, SERVICE_TIER, SPEED = "processing", "service_tier", "speed"

_ON_DEMAND = "on_demand"
_STANDARD_TIERS = frozenset({"", "auto", "default", "standard", _ON_DEMAND})
_PROVISIONED = frozenset({"provisioned", "provisioned_throughput", "reserved", "scale"})


@dataclass(frozen=True, slots=True)
class PriceContext:
    """The catalogue's words, each with the doubt that is left where it has no variant for it.

    ``provisioned`` says that capacity was bought, and a token has no price.
    """

    words: Mapping[str, str]
    doubts: Mapping[str, Doubt]
    provisioned: bool = False


_NONE: Mapping[str, str] = MappingProxyType({})
_CERTAIN: Mapping[str, Doubt] = MappingProxyType({})
STANDARD = PriceContext(_NONE, _CERTAIN)


def price_context(key: SeriesKey) -> PriceContext:
    """The context of the series' calls."""
    tier = key.service_tier.strip().lower().removeprefix(f"{_ON_DEMAND}_")
    if tier in _PROVISIONED:
        return PriceContext(_NONE, _CERTAIN, provisioned=True)
    words: dict[str, str] = {}
    doubts: dict[str, Doubt] = {}
    if key.batch or tier == "batch":
        words[PROCESSING] = "batch"
        doubts[PROCESSING] = Doubt.BATCH
    elif tier == "default":
        words[SERVICE_TIER] = tier
    if tier not in _STANDARD_TIERS and tier != "batch":
        words[SERVICE_TIER] = tier
        doubts[SERVICE_TIER] = Doubt.SERVICE_TIER
        if tier == "fast":
            # Anthropic's word for it is the speed; OpenAI's is the tier.
            words[SPEED] = tier
    if not words:
        return STANDARD
    return PriceContext(words, doubts)
