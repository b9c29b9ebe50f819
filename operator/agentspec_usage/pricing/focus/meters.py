"""What a row's quantity counts, by which name and in which unit.

Tokens are priced by the million and requests by the thousand, as providers publish them. Units that
measure something else than requests keep their own noun.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.pricing.charge import CALLS
from agentspec_usage.pricing.rates import TokenType

__all__ = ["Meter", "meter_of", "suffix_of"]


@dataclass(frozen=True, slots=True)
class Meter:
    """``SkuMeter``, ``ConsumedUnit``, and the power of ten of these that has the unit price."""

    name: str
    unit: str
    digits: int

    @property
    def pricing_unit(self) -> str:
        """``PricingUnit``, in the specification's form of a quantity and a plural."""
        return f"{10**self.digits} {self.unit}" if self.digits else self.unit


def _tokens(name: str) -> Meter:
    return Meter(name, "Tokens", 6)


_TOKENS = {
    TokenType.INPUT: _tokens("Input Tokens"),
    TokenType.CACHE_READ: _tokens("Cached Input Tokens"),
    TokenType.CACHE_WRITE: _tokens("Cache Write Tokens"),
    TokenType.CACHE_WRITE_5M: _tokens("Cache Write Tokens 5m"),
    TokenType.CACHE_WRITE_30M: _tokens("Cache Write Tokens 30m"),
    TokenType.CACHE_WRITE_1H: _tokens("Cache Write Tokens 1h"),
    TokenType.CACHE_WRITE_12H: _tokens("Cache Write Tokens 12h"),
    TokenType.AUDIO_IN: _tokens("Audio Input Tokens"),
    TokenType.IMAGE_IN: _tokens("Image Input Tokens"),
    TokenType.OUTPUT: _tokens("Output Tokens"),
    TokenType.REASONING: _tokens("Reasoning Tokens"),
    TokenType.AUDIO_OUT: _tokens("Audio Output Tokens"),
    TokenType.IMAGE_OUT: _tokens("Image Output Tokens"),
}

_REQUESTS = Meter("Requests", "Requests", 3)

_MEASURES = {
    "characters": Meter("Characters", "Characters", 6),
    "images": Meter("Images", "Images", 0),
    "pages": Meter("Pages", "Pages", 3),
    "seconds": Meter("Seconds", "Seconds", 0),
}


def meter_of(type_: str) -> Meter:
    """The meter of a line's type."""
    if isinstance(type_, TokenType):
        return _TOKENS[type_]
    return _MEASURES.get(type_, _REQUESTS)


def suffix_of(type_: str) -> str:
    """What the line's type adds to the name of a SKU; a unit may be called like a token type."""
    if isinstance(type_, TokenType):
        return type_.value
    return "requests" if type_ == CALLS else f"requests/{type_}"
