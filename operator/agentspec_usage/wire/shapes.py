"""The parts that every shape on the wire is made of, declared once for strict decoding.

A field that is wrong is named by its path, and what stood in it is never repeated: what a stranger
wrote reaches no log, no status and no answer.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.runtime.clock import from_rfc3339

__all__ = [
    "NO_CACHE_WRITE",
    "CacheWrite",
    "Count",
    "InstanceId",
    "Shape",
    "Time",
    "Totals",
    "wire_error",
]

_MAX_TIME = 40

_INSTANCE_ID = re.compile("[0-9a-f]{32}")


def wire_error(error: ValidationError, path: str = "") -> WireError:
    """The first thing that is wrong: where, by our own field names, and what was expected."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    for part in first["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    if first["type"] == "missing":
        return WireError(path, "a value")
    return WireError(path, first["msg"].removeprefix("Input should be "))


def _moment(text: object) -> int:
    moment = -1
    if isinstance(text, str) and len(text) <= _MAX_TIME:
        with suppress(ValueError, OverflowError):
            moment = from_rfc3339(text)
    if moment < 0:
        raise PydanticCustomError("moment", "Input should be an RFC 3339 time since 1970")
    return moment


def _instance_id(text: str) -> str:
    if not _INSTANCE_ID.fullmatch(text):
        raise PydanticCustomError("instance_id", "Input should be 32 lower-case hex digits")
    return text


Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
# What the document says of them is what is on the wire, and not what they are read as.
Time = Annotated[
    int,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": _MAX_TIME}),
]
InstanceId = Annotated[
    str,
    AfterValidator(_instance_id),
    WithJsonSchema({"type": "string", "pattern": f"^{_INSTANCE_ID.pattern}$"}),
]


class Shape(BaseModel):
    """An object on the wire: camel case, unknown fields ignored, nothing coerced."""

    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
    )


class CacheWrite(Shape):
    """Tokens written to a cache, by time to live."""

    m5: Count = Field(0, alias="5m")
    m30: Count = Field(0, alias="30m")
    h1: Count = Field(0, alias="1h")
    h12: Count = Field(0, alias="12h")
    unspecified: Count = 0


NO_CACHE_WRITE = CacheWrite()


class Totals(Shape):
    """The count vector as records and frames write it."""

    input: Count = 0
    output: Count = 0
    cache_read: Count = 0
    cache_write: CacheWrite = NO_CACHE_WRITE
    reasoning: Count = 0
    audio_in: Count = 0
    audio_out: Count = 0
    image_in: Count = 0
    image_out: Count = 0
    calls: Count = 0
    unmetered_calls: Count = 0

    def counts(self) -> TokenCounts:
        return self.counts_of(self.calls, self.unmetered_calls)

    def counts_of(self, calls: int, unmetered_calls: int) -> TokenCounts:
        """The counts of so many calls, whatever the document says of their number."""
        written = self.cache_write
        return TokenCounts(
            self.input,
            self.output,
            self.cache_read,
            written.m5,
            written.m30,
            written.h1,
            written.h12,
            written.unspecified,
            self.reasoning,
            self.audio_in,
            self.audio_out,
            self.image_in,
            self.image_out,
            calls,
            unmetered_calls,
        )
