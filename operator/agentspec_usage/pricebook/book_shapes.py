"""The shapes of a price book, declared once: what may stand in it, by which name.

Unknown fields are refused, unlike on the wire: a misspelt price would be no price. Every scalar
comes as the text that stands in the file (``document``).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from agentspec_usage.pricing.money import pico_per_unit
from agentspec_usage.pricing.rates import Rates
from agentspec_usage.runtime.clock import from_rfc3339

__all__ = ["BookShape", "EntryShape", "MatchShape", "TierShape"]

_MILLION = 1_000_000
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?([eE]-?[0-9]{1,2})?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def _decimal(text: object) -> Decimal:
    if isinstance(text, str) and _NUMBER.fullmatch(text):
        return Decimal(text)
    raise PydanticCustomError("decimal", "Input should be a decimal number from 0, such as 0.25")


def _price(text: object) -> int:
    return pico_per_unit(_decimal(text), _MILLION)


def _factor(text: object) -> Decimal:
    factor = _decimal(text)
    if factor > 1000:
        raise PydanticCustomError("factor", "Input should be a factor of at most 1000")
    return factor


def _tokens(text: object) -> int:
    if isinstance(text, str) and re.fullmatch(r"[0-9]{1,15}", text):
        return int(text)
    raise PydanticCustomError("tokens", "Input should be a whole number of tokens")


def _moment(text: object) -> int:
    if isinstance(text, str):
        try:
            moment = from_rfc3339(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
        except (ValueError, OverflowError):
            moment = -1
        if moment >= 0:
            return moment
    raise PydanticCustomError(
        "moment", "Input should be a date (midnight UTC) or an RFC 3339 time since 1970"
    )


def _flag(text: object) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise PydanticCustomError("flag", "Input should be true or false")


Price = Annotated[int, BeforeValidator(_price)]
"""Written per million, held per unit."""
Factor = Annotated[Decimal, BeforeValidator(_factor)]
Tokens = Annotated[int, BeforeValidator(_tokens)]
Moment = Annotated[int, BeforeValidator(_moment)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Word = Annotated[str, StringConstraints(max_length=128)]
Unit = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class _Shape(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, validate_by_name=False
    )


class MatchShape(_Shape):
    """Which calls an entry is for: globs for the names; what is left out matches any call."""

    provider: Pattern = "*"
    model: Pattern
    service_tier: Word | None = None
    region: Word | None = None
    operation: Word | None = None
    batch: Flag | None = None


class CacheWriteShape(_Shape):
    """Prices of cache writes by time to live."""

    m5: Price | None = Field(None, alias="5m")
    m30: Price | None = Field(None, alias="30m")
    h1: Price | None = Field(None, alias="1h")
    h12: Price | None = Field(None, alias="12h")
    unspecified: Price | None = None


class TierShape(_Shape):
    """Prices per million of calls whose input exceeds a size; ``requests`` by unit."""

    above_input_tokens: Tokens = 0
    input: Price | None = None
    cached_input: Price | None = None
    cache_write: CacheWriteShape = CacheWriteShape()
    output: Price | None = None
    reasoning: Price | None = None
    audio_input: Price | None = None
    audio_output: Price | None = None
    image_input: Price | None = None
    image_output: Price | None = None
    requests: dict[Unit, Price] = Field(default_factory=dict)

    def rates(self, call: int | None) -> Rates:
        """The table; ``call`` is the fee for each call."""
        written = self.cache_write
        return Rates(
            input=self.input,
            output=self.output,
            cache_read=self.cached_input,
            cache_write=written.unspecified,
            cache_write_5m=written.m5,
            cache_write_30m=written.m30,
            cache_write_1h=written.h1,
            cache_write_12h=written.h12,
            reasoning=self.reasoning,
            audio_in=self.audio_input,
            audio_out=self.audio_output,
            image_in=self.image_input,
            image_out=self.image_output,
            call=call,
        )


class EntryShape(_Shape):
    """Prices for what matches, in ``[from, to)``; without tiers, a factor on the catalogue's."""

    match: MatchShape
    since: Moment = Field(0, alias="from")
    until: Moment | None = Field(None, alias="to")
    tiers: Annotated[list[TierShape], Field(max_length=16)] = Field(default_factory=list)
    multiplier: Factor | None = None
    note: Annotated[str, StringConstraints(max_length=1024)] = ""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.tiers and self.multiplier is None:
            raise PydanticCustomError("empty", "Input should be an entry with tiers or multiplier")
        if self.until is not None and self.until <= self.since:
            raise PydanticCustomError("period", "Input should be a period that ends after it began")
        starts = [tier.above_input_tokens for tier in self.tiers]
        if starts != sorted(set(starts)) or (starts and starts[0] != 0):
            raise PydanticCustomError(
                "tiers", "Input should be tiers that ascend, the first from aboveInputTokens 0"
            )
        if any(tier.requests for tier in self.tiers[1:]):
            raise PydanticCustomError(
                "requests", "Input should be tiers of which only the first prices requests"
            )
        return self


class BookShape(_Shape):
    """The whole file."""

    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    entries: Annotated[list[EntryShape], Field(max_length=10_000)]
